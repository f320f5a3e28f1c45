"""Published figures: ``results/published.csv``, one line for each."""

import csv
from collections.abc import Mapping, Sequence

from bench.runs.directory import RESULTS_FOLDER
from episodes.errors import UserError

FILE = RESULTS_FOLDER / "published.csv"
COLUMNS = (
    *("method", "venue", "year", "backbone", "pretraining", "dataset", "split", "way", "shot"),
    *("accuracy", "source"),
)


def published_rows() -> Sequence[Mapping[str, str]]:
    """Return the lines of the file; none where there is no file.

    Raises:
        UserError: it is damaged: a line lacks a column, or its accuracy is not a percentage.
    """
    if not FILE.is_file():
        return []
    try:
        with FILE.open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, str]] = list(csv.DictReader(file))
        for number, row in enumerate(rows, start=2):
            if set(row) != set(COLUMNS) or None in row.values():
                raise ValueError(f"line {number} has not the columns {', '.join(COLUMNS)}")
            if not 0 < float(row["accuracy"]) <= 100:
                raise ValueError(f"line {number}: an accuracy of {row['accuracy']} per cent")
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{FILE} is damaged: {error}; take it from the repository again, or delete it to do"
            " without published figures"
        ) from error
    return rows
