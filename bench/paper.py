"""The three ablation tables of MASTAF's appendix, and their sum, from runs that are here."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contenders import Contender, contenders
from bench.paths import RESULTS_FOLDER
from bench.run_directory import Run
from bench.summary import Interval, Row, compare_on_one_bank
from bench.tables import (
    FORMATS,
    WIDEST,
    accuracy_cell,
    difference_cell,
    ends,
    points,
    signed,
    table,
)
from episodes.errors import UserError

PUBLISHED = RESULTS_FOLDER / "published.csv"
RUNS = RESULTS_FOLDER / "runs"
"""Where committed runs lie."""
REFERENCE = "mastaf"
Training = Mapping[str, Any]
"""What a run says of the training behind it, less the seed; empty where there is none."""
IN_THE_PAPER = {
    "mastaf": "MASTAF",
    "mastaf-no-global": "MASTAF-No-Global",
    "mastaf-noml-mean": "MASTAF-NoML-Mean",
    "mastaf-nores": "MASTAF-NoRes",
    "mastaf-self": "Only MASTAF-Self",
    "mastaf-cross": "Only MASTAF-Cross",
    "mastaf-neighbor": "MASTAF-Neighbor",
}
"""Our names of the variants, and the paper's."""
TABLES = {
    "Table 1: without the global classification loss": ("mastaf-no-global", "mastaf"),
    "Table 2: the plain mean instead of the meta-learner": ("mastaf-noml-mean", "mastaf"),
    "Table 3: without the residual": ("mastaf-nores", "mastaf"),
    "All of them, and the branches alone": tuple(IN_THE_PAPER),
}


@dataclass(frozen=True)
class Dataset:
    """A data set that the tables have a column for."""

    title: str
    bank: str
    published: str = ""
    """Its name in the file of published figures; empty if the paper has no such column."""
    how: str = ""
    """How to fill it, where its data cannot be shipped."""


def _how(name: str) -> str:
    return (
        f"fvbench data add {name} --root PATH; fvbench train {' '.join(IN_THE_PAPER)} --recipe"
        f" paper --validation {name}-5w1s-val --backbone NAME --seeds 0,1,2 --out WEIGHTS; fvbench"
        f" run --bank {name}-5w1s-test --methods {','.join(IN_THE_PAPER)} --backbone NAME"
        f" --weights WEIGHTS --out results/runs/{name}"
    )


DATASETS = (
    Dataset("UCF101", "ucf101-5w1s-test", "UCF101", _how("ucf101")),
    Dataset("SSv2-all", "ssv2-all-5w1s-test", "SSv2-Full", _how("ssv2-all")),
    Dataset("rendered", "default"),
)


@dataclass(frozen=True)
class Line:
    """A variant on a data set: what was measured here, and what was published."""

    table: str
    dataset: str
    method: str
    backbone: str | None
    """"frozen" or "tuned", as MASTAF was trained; None where nothing was measured."""
    training: str
    """How it was trained in words, where not by recipe ``default`` from the shipped backbone."""
    seeds: int
    accuracy: float | None
    interval: Interval | None
    """95%, over episodes."""
    interval_of_all: Interval | None
    """95%, over videos, classes and trainings."""
    difference: float | None
    """To MASTAF, paired."""
    difference_interval: Interval | None
    difference_interval_of_all: Interval | None
    published: float | None
    published_difference: float | None
    row: Row | None

    def content(self) -> dict[str, Any]:
        """Return plain values."""
        return {key: value for key, value in asdict(self).items() if key != "row"}


def paper_lines(runs: Sequence[Run]) -> list[Line]:
    """Work out every line of every table.

    Args:
        runs: of any methods on any banks; those of MASTAF and its variants are looked at.
    """
    published = _published()
    columns = [
        (dataset, training, rows)
        for dataset in DATASETS
        for training, rows in _measured(dataset, runs)
    ]
    return [
        _line(title, dataset, training, method, rows, published)
        for title, methods in TABLES.items()
        for dataset, training, rows in columns
        for method in methods
    ]


def _measured(dataset: Dataset, runs: Sequence[Run]) -> list[tuple[Training, Mapping[str, Row]]]:
    """Rows by method, for each way in which MASTAF was trained on a data set."""
    family = [
        run
        for run in runs
        if run.identity["bank"] == dataset.bank and run.identity["method"] in IN_THE_PAPER
    ]
    found = contenders(family) if family else []
    trainings = [
        one.training for one in found if one.method == REFERENCE and one.training is not None
    ]
    measured: list[tuple[Training, Mapping[str, Row]]] = []
    for training in trainings:
        reference = next(
            one for one in found if one.method == REFERENCE and one.training == training
        )
        chosen = [one for one in found if _belongs(one, reference)]
        comparison = compare_on_one_bank([run for one in chosen for run in one.runs], REFERENCE)
        rows = {row.method: row for row in comparison.rows}
        measured.append((training, rows))
    return measured or [({}, {})]


def _belongs(one: Contender, reference: Contender) -> bool:
    """Whether a contender was trained alike; without weights of its own it is as good as that."""
    if one.backbone != reference.backbone or one.frames != reference.frames:
        return False
    if one.training is None:
        frozen = (reference.training or {}).get("backbone") == "frozen"
        return frozen and one.first.declared["trained"] is None
    return one.training == reference.training


def _in_words(training: Training) -> str:
    """What is particular of a training."""
    recipe = training.get("recipe", "default")
    words = ["" if recipe == "default" else recipe]
    words += [str(training[key]) for key in ("start", "sampling", "resize") if key in training]
    return ", ".join(filter(None, words))


def _published() -> dict[tuple[str, str], float]:
    """(variant, data set) -> fraction, from the appendix."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return {
            (row["method"], row["dataset"]): float(row["accuracy"]) / 100
            for row in csv.DictReader(file)
            if "MASTAF (WACV 2023) appendix" in row["source"]
        }


def _line(
    title: str,
    dataset: Dataset,
    training: Training,
    method: str,
    rows: Mapping[str, Row],
    published: Mapping[tuple[str, str], float],
) -> Line:
    row = rows.get(method)
    theirs = published.get((IN_THE_PAPER[method], dataset.published))
    base = published.get((IN_THE_PAPER[REFERENCE], dataset.published))
    apart = None if theirs is None or base is None or method == REFERENCE else theirs - base
    differences = {} if row is None else row.difference_intervals or {}
    return Line(
        table=title,
        dataset=dataset.title,
        method=IN_THE_PAPER[method],
        backbone=training.get("backbone"),
        training=_in_words(training),
        seeds=0 if row is None else len(row.seeds),
        accuracy=None if row is None else row.accuracy,
        interval=None if row is None else row.interval,
        interval_of_all=None if row is None else row.intervals.get(WIDEST),
        difference=None if row is None else row.difference,
        difference_interval=None if row is None else row.difference_interval,
        difference_interval_of_all=differences.get(WIDEST),
        published=theirs,
        published_difference=apart,
        row=row,
    )


def render_paper(lines: Sequence[Line], style: str) -> str:
    """Render the tables one below the other.

    Args:
        lines: as `paper_lines` gives them.
        style: a name in `bench.tables.FORMATS`.

    Raises:
        UserError: no such format.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is none of {', '.join(FORMATS)}")
    if style == "csv":
        return _csv(lines)
    heading = {"terminal": "", "markdown": "### ", "latex": "% "}[style]
    parts = []
    for title in TABLES:
        cells = [_cells(line) for line in lines if line.table == title]
        parts.append(f"{heading}{title}\n\n{table(cells, '', style).rstrip()}\n")
    notes = _notes(lines, style)
    return "\n".join([*parts, notes])


def _cells(line: Line) -> dict[str, str]:
    """One line as text under titles."""
    absent = "data not present" if line.backbone is None else "not run"
    theirs = "" if line.published is None else f"{100 * line.published:.1f}"
    return {
        "variant": line.method,
        "data": ", ".join(filter(None, (line.dataset, line.backbone, line.training))),
        "accuracy %": absent if line.row is None else accuracy_cell(line.row),
        "seeds": "" if line.row is None else str(line.seeds or "–"),
        "new\ntraining": ends(line.interval_of_all),
        "vs MASTAF": "" if line.row is None else difference_cell(line.row),
        "its new\ntraining": points(line.difference_interval_of_all),
        "published": theirs,
        "published\nvs MASTAF": (
            "" if line.published_difference is None else signed(line.published_difference)
        ),
    }


def _notes(lines: Sequence[Line], style: str) -> str:
    """What the figures are, and how to fill what is missing."""
    notes = [
        "± half the 95% interval over episodes. new training: the 95% interval over videos, classes"
        " and trainings, where there are several training seeds. vs MASTAF: paired, in points.",
        "frozen: the methods' own weights were trained on features of the shipped backbone, which"
        " NoML-Mean and Neighbor have none of; tuned: the backbone was trained too.",
        "published: the appendix of MASTAF (WACV 2023), backbone not stated there; another data"
        " set and another protocol than ours.",
    ]
    missing = {line.dataset for line in lines if line.backbone is None}
    notes += [
        f"{one.title}: data not present; to fill it: {one.how}"
        for one in DATASETS
        if one.title in missing and one.how
    ]
    separator = "\n\n" if style == "markdown" else "\n"
    mark = "% " if style == "latex" else ""
    return separator.join(mark + note for note in notes) + "\n"


def _csv(lines: Sequence[Line]) -> str:
    """One record for each line, fractions unrounded, intervals as two columns."""
    text = io.StringIO()
    records = [_flat(line) for line in lines]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _flat(line: Line) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in line.content().items():
        if "interval" in key:
            flat[f"{key}_low"], flat[f"{key}_high"] = value or (None, None)
        else:
            flat[key] = value
    return flat
