"""Rows made elsewhere: predictions for a bank from a program in any language.

A CSV or Parquet file with the columns ``episode``, ``query`` and ``prediction``, one row for each
query of the bank, in any order. Episodes have their numbers in the whole bank, even where some are
left out (`--allow-missing`). ``prediction`` is 0..way-1: the place of the chosen class in the order
in which `fvbench bank show` lists the episode's support. These columns are optional, and all others
are ignored:

``margin``: best score minus second best.
``method``: name of the method; by default the file's name without suffix.
``training_seed``: seed of the training behind an answer. Answers of several seeds, in one file or
in several, make one row of a table.
``trained``: true or false. A method whose file has neither of the last two columns counts as
trained once, which supports no verdict against a trained method.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow import ArrowException

from bench.runs.directory import open_rows
from bench.runs.run import Answers, Run, make_rows
from bench.runs.schema import Circumstances, Cost, Declared, HowTrained, Identity
from episodes.banks.bank import Bank
from episodes.errors import UserError

SUFFIXES = (".csv", ".parquet")
COLUMNS = ("episode", "query", "prediction")
UNKNOWN = math.nan


def is_rows_file(path: Path) -> bool:
    """Whether a path is a file of rows, by its name, rather than a folder of runs."""
    return path.suffix in SUFFIXES and not path.is_dir()


def read_rows_file(path: Path, bank: Bank) -> list[Run]:
    """Read predictions made elsewhere as runs on ``bank``, one for each method and training seed.

    Raises:
        UserError: it cannot be read, lacks a column, or does not answer every query of the bank
            exactly once with a class of its episode.
    """
    table = _read(path)
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; rows made elsewhere have"
            f" {', '.join(COLUMNS)}, separated by commas where the file is a .csv"
        )
    if table.empty:
        raise UserError(f"{path} holds no rows; a row is needed for each query of the bank")
    table = table.assign(method=table.get("method", path.stem))
    if table["method"].isna().any():
        row = int(table["method"].isna().to_numpy().argmax()) + 1
        raise UserError(f"{path}, row {row}: the method has no name")
    seeds = pd.Series(pd.NA, table.index, dtype="Int64")
    if "training_seed" in table:
        stated = table["training_seed"].notna()
        seeds[stated] = _whole(table[stated], "training_seed", path)
    groups = table.assign(training_seed=seeds).groupby(["method", "training_seed"], dropna=False)
    return [_read_run(path, bank, part) for _, part in groups]


def _read_run(path: Path, bank: Bank, table: pd.DataFrame) -> Run:
    """Read the rows of one method and training seed."""
    episode, query, prediction = (_whole(table, name, path) for name in COLUMNS)
    shape = bank.episodes.labels.shape
    place = _places(path, bank, table.index, episode, query)
    way = bank.recipe.way
    if len(outside := np.flatnonzero((prediction < 0) | (prediction >= way))):
        raise UserError(
            f"{path}, row {table.index[outside[0]] + 1}: prediction is {prediction[outside[0]]};"
            f" it is 0..{way - 1}, the place of the class in its episode"
        )
    answers = np.zeros(shape[0] * shape[1], dtype=np.int16)
    answers[place] = prediction
    margin = np.full(len(answers), np.nan, dtype=np.float32)
    if "margin" in table:
        margin[place] = pd.to_numeric(table["margin"], errors="coerce").to_numpy(np.float32)
    given = Answers(answers.reshape(shape), margin.reshape(shape), 0.0, 0.0, 0)
    seeds = table["training_seed"].dropna()
    trained = _whether_trained(path, table)
    return Run(
        identity=Identity(
            bank=bank.title,
            bank_sha256=bank.sha256,
            episodes=len(bank.episodes),
            method=str(table["method"].iloc[0]),
            revision=0,
            training=HowTrained(seed=int(seeds.iloc[0])) if len(seeds) else None,
            dtype="float32",
        ),
        declared=Declared(
            sees="unknown",
            trained=True if len(seeds) else trained or None,
            says_whether_trained=len(seeds) > 0 or trained is not None,
        ),
        cost=Cost(
            score_episodes_per_s=UNKNOWN,
            encode_clips_per_s=UNKNOWN,
            embed_clips_per_s=UNKNOWN,
            peak_memory_bytes=0,
        ),
        circumstances=Circumstances(device="elsewhere"),
        rows=make_rows(bank.episodes, given, bank.numbers),
    )


def _whether_trained(path: Path, table: pd.DataFrame) -> bool | None:
    """The value of the column ``trained``; None without it."""
    if "trained" not in table:
        return None
    words = {str(word).strip().lower() for word in table["trained"].unique()}
    if len(words) == 1 and words <= {"true", "1", "yes", "false", "0", "no"}:
        return words <= {"true", "1", "yes"}
    raise UserError(f"{path}: trained is {', '.join(sorted(words))}; it is true, or false")


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype={"method": str})  # "01" is not "1"
        open_rows(path)
        return pd.read_parquet(path).reset_index(drop=True)
    except (OSError, ValueError, LookupError, TypeError, ArrowException) as error:
        raise UserError(
            f"{path} cannot be read: {error}; it is a {path.suffix} of {', '.join(COLUMNS)}"
        ) from error


def _whole(table: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    """Read a column of whole numbers."""
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~(np.abs(values) < 2.0**53) | (values != np.floor(values)))
    if len(bad):
        raise UserError(
            f"{path}, row {table.index[bad[0]] + 1}: {name} is {table[name].iloc[bad[0]]}; it is"
            " a whole number"
        )
    return values.astype(np.int64)


def _places(
    path: Path,
    bank: Bank,
    rows: "pd.Index[int]",
    episode: NDArray[np.int64],
    query: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Index of each row among the bank's queries; refuses queries missing or repeated."""
    numbers, queries = bank.numbers, bank.episodes.labels.shape[1]
    outside = np.flatnonzero(~np.isin(episode, numbers) | (query < 0) | (query >= queries))
    if len(outside):
        row = outside[0]
        raise UserError(
            f"{path}, row {rows[row] + 1}: episode {episode[row]}, query {query[row]}; bank"
            f" {bank.title} has episodes {numbers[0]}..{numbers[-1]}"
            f"{', without those left out,' if bank.left_out else ''} with queries 0..{queries - 1}:"
            " both count from 0; for fewer episodes give --episodes"
        )
    place = np.searchsorted(numbers, episode) * queries + query
    times = np.bincount(place, minlength=len(numbers) * queries)
    if (times != 1).any():
        wrong = int(np.flatnonzero(times != 1)[0])
        raise UserError(
            f"{path} has {times[wrong]} rows for query {wrong % queries} of episode"
            f" {numbers[wrong // queries]}, and {(times != 1).sum():,} of {len(times):,} queries"
            " do not have exactly one; for fewer episodes give --episodes"
        )
    return np.asarray(place)
