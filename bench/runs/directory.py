"""Run directories: what one method answered on one bank, and everything that identifies it.

``run.json`` holds the identity, ``rows.parquet`` one row for each query. Everything else, the
``summary.json`` beside them too, is derived and may be deleted.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.method import NAME_WITH_SETTINGS
from episodes.atomic import replacing, write_text
from episodes.banks.sampler import Episodes
from episodes.errors import UserError, shown

RESULTS_FOLDER = Path(__file__).parents[2] / "results"
"""The folder ``results/`` of a clone, or its copy beside the installed packages."""
SCHEMA = 3
"""Raised whenever `run.json` changes its form; older ones are upgraded by functions here."""
FILES = ("run.json", "rows.parquet")
SEAL = "content_sha256"
"""Under which a file of JSON holds its own hash."""
FAILURE = "failed.json"
"""Stands in place of them where a method failed."""
MOST_ROWS = 200_000_000
"""More than a million episodes of a hundred queries have."""
NEEDED = {"bank", "bank_sha256", "method", "revision", "episodes", "dtype"}
"""What tables read of a run's identity."""
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)
"""What reading damaged files may raise."""
COMPACT: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["query", "label", "prediction"],
}
ENCODING = {"margin": "BYTE_STREAM_SPLIT", "episode": "DELTA_BINARY_PACKED"}
"""How rows are written: in half the bytes of pyarrow's defaults."""
ROW_TYPES = {
    "episode": "int32",
    "query": "int16",
    "label": "int16",
    "prediction": "int16",
    "margin": "float32",
}


@dataclass(frozen=True)
class Answers:
    """What a method said, query by query, and what it cost."""

    prediction: NDArray[np.int16]
    """(episodes, queries) in 0..way-1."""
    margin: NDArray[np.float32]
    """(episodes, queries) best score minus second best."""
    encode_seconds: float
    score_seconds: float
    """Gather, adapt and score of all episodes; an untimed warm-up went before."""
    peak_memory_bytes: int


@dataclass(frozen=True)
class Cost:
    """What a run took, stage by stage."""

    score_episodes_per_s: float
    """Gather, adapt and score, after a warm-up."""
    encode_clips_per_s: float
    embed_clips_per_s: float
    """The backbone, when the features were made; decoding not counted."""
    peak_memory_bytes: int


@dataclass(frozen=True)
class Run:
    """One method's run on one bank."""

    identity: Mapping[str, Any]
    """All that decides the rows: bank, method, settings, weights, features, seed, dtype."""
    declared: Mapping[str, Any]
    """What the method says of itself: source, what it sees and needs, whether it is trained."""
    cost: Cost
    circumstances: Mapping[str, Any]
    """Machine, versions, commit, command: what should not decide the rows, and is kept anyway."""
    rows: pd.DataFrame
    """Columns as in `ROW_TYPES`, sorted by episode and query; margins are NaN where they were not
    kept."""

    def episode_accuracy(self) -> NDArray[np.float64]:
        """Fraction of right answers in each episode, in episode order."""
        correct = (self.rows["label"] == self.rows["prediction"]).to_numpy(np.float64)
        return np.asarray(correct.reshape(-1, self.queries_per_episode).mean(axis=1))

    @property
    def queries_per_episode(self) -> int:
        """Queries in each episode."""
        return int(self.rows["query"].max()) + 1


@dataclass(frozen=True)
class Failure:
    """A method that gave no rows on a bank, and why."""

    bank: str
    method: str
    reason: str


def make_rows(
    episodes: Episodes, answers: Answers, numbers: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Put answers beside the labels: one row for each query.

    Args:
        episodes: of the bank.
        answers: to all of their queries.
        numbers: of the episodes in the bank, (episodes,), where some were left out.
    """
    count, queries = episodes.labels.shape
    columns = {
        "episode": np.repeat(np.arange(count) if numbers is None else numbers, queries),
        "query": np.tile(np.arange(queries), count),
        "label": episodes.labels.ravel(),
        "prediction": answers.prediction.ravel(),
        "margin": answers.margin.ravel(),
    }
    return pd.DataFrame(columns).astype(ROW_TYPES)


def write_run(folder: Path, run: Run) -> None:
    """Write a run; it counts as there once ``run.json``, which is written last, is there.

    Raises:
        UserError: the folder holds files that no run wrote.
    """
    check_may_write(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", FAILURE):
        (folder / name).unlink(missing_ok=True)
    with replacing(folder / "rows.parquet") as unfinished:
        encoding = {column: ENCODING[column] for column in ENCODING if column in run.rows}
        run.rows.to_parquet(unfinished, index=False, column_encoding=encoding, **COMPACT)
    header = {
        "schema": SCHEMA,
        "rows_sha256": _sha256(folder / "rows.parquet"),
        "identity": run.identity,
        "declared": run.declared,
        "cost": asdict(run.cost),
        "circumstances": run.circumstances,
    }
    write_text(folder / "run.json", sealed(header))


def write_failure(folder: Path, failure: Failure) -> None:
    """Write that a method failed, in place of the run that it was to replace.

    Raises:
        UserError: the folder holds files that no run wrote.
    """
    check_may_write(folder)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    write_text(folder / FAILURE, sealed(asdict(failure)))


def find_failures(folder: Path) -> list[Failure]:
    """Return what failed at or below a folder.

    Raises:
        UserError: a file that says so is damaged.
    """
    failures = []
    for path in sorted(folder.resolve().glob(f"**/{FAILURE}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            check_seal(content)
            failures.append(Failure(content["bank"], content["method"], content["reason"]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged: {error}; delete it and run again") from error
    return failures


def check_may_write(folder: Path) -> None:
    """Refuse a folder that holds files that no run wrote: they would be mixed with ours.

    Raises:
        UserError: naming one of them.
    """
    for path in folder.glob("*"):
        if path.name not in (*FILES, FAILURE) and ".unfinished" not in path.name:
            raise UserError(
                f"{folder} holds {path.name}, which no run wrote; choose another --out or move it"
            )


def read_run(folder: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: it is missing, incomplete, damaged, or of a schema this program does not know.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise UserError(
            f"{folder} is not a run directory: it has no run.json; `fvbench run` makes one"
        )
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        header = _upgraded(header, path)
        if header["rows_sha256"] != _sha256(folder / "rows.parquet"):
            raise ValueError("rows.parquet is not the one that was written with run.json")
        check_size(folder / "rows.parquet")
        rows = pd.read_parquet(folder / "rows.parquet")
        if "margin" not in rows:
            rows["margin"] = math.nan  # committed without it: most of the bytes, and no figure's
        rows = rows[list(ROW_TYPES)].astype(ROW_TYPES)
        run = Run(
            header["identity"],
            header["declared"],
            _cost(header["cost"]),
            header["circumstances"],
            rows,
        )
        _check(run)
    except UNREADABLE as error:
        raise UserError(f"{folder} is damaged: {error}; delete it and run again") from error
    return run


def check_size(rows: Path) -> None:
    """Refuse rows that would take the memory: a small file may claim billions of them.

    Raises:
        ValueError: there are too many.
    """
    count = pq.ParquetFile(rows).metadata.num_rows
    if count > MOST_ROWS:
        raise ValueError(f"it claims {count:,} rows; there are at most {MOST_ROWS:,}")


def _check(run: Run) -> None:
    """Refuse a run whose parts are not what all who read it take them for.

    Names are also names of folders and parts of lines, and so hold no path and no control codes.
    """
    identity = run.identity
    if missing := NEEDED - identity.keys():
        raise ValueError(f"its identity lacks {', '.join(sorted(missing))}")
    if not re.fullmatch(NAME_WITH_SETTINGS, str(identity["method"])):
        raise ValueError(f"{identity['method']!r} is no name of a method")
    training = identity.get("training") or {}
    for name in (identity["bank"], *(one for one in training.values() if isinstance(one, str))):
        if not re.fullmatch(r"[^./\\][^/\\]{0,199}", name) or shown(name) != name:
            raise ValueError(f"{name!r} is no name of a bank or of a training's parts")
    for field in ("episodes", "revision"):
        if not isinstance(identity[field], int):
            raise TypeError(f"{field} is {identity[field]!r}, not a whole number")
    for mapping, fields_ in ((run.declared, ("trained", "sees")), (run.circumstances, ("device",))):
        for field in fields_:
            mapping[field]
    queries = run.queries_per_episode
    if len(run.rows) != queries * run.rows["episode"].nunique():
        raise ValueError("its rows are not as many for every episode")


def _upgraded(header: dict[str, Any], path: Path) -> dict[str, Any]:
    """Bring an older header to the present schema, step by step.

    Raises:
        UserError: a schema that no function upgrades, such as a newer one.
    """
    schema = header["schema"]
    if schema == SCHEMA:
        check_seal(header)
        return header
    if schema not in UPGRADES:
        raise UserError(
            f"{path} has schema {schema}, this program reads {min(UPGRADES)} to {SCHEMA}; use the"
            " version of fewshot-video-bench that wrote it, or run again"
        )
    for step in range(schema, SCHEMA):
        header = UPGRADES[step](header)
    return header


def _from_1_to_2(header: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 says how a method was trained; with schema 1 none was, or nobody noted how."""
    return header | {"schema": 2, "identity": {"training": None} | header["identity"]}


def _from_2_to_3(header: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 holds its own hash; what came before is believed as it stands."""
    return header | {"schema": 3}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _from_1_to_2,
    2: _from_2_to_3,
}


def _cost(content: Mapping[str, Any]) -> Cost:
    """Read a cost back: what was NaN has become null."""
    values: dict[str, Any] = {key: math.nan if one is None else one for key, one in content.items()}
    return Cost(**values)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_runs(folder: Path) -> list[Path]:
    """Return the run directories at or below a folder, sorted.

    Raises:
        UserError: there is none.
    """
    found = sorted({path.parent for path in folder.resolve().glob("**/run.json")})
    if not found:
        if folder.is_file():
            raise UserError(f"{folder}: no folder of runs, and no rows in a .csv or .parquet file")
        raise UserError(f"{folder}: no run here; `fvbench run --out {folder}` makes some")
    return found


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read the runs at or below folders; one that lies in several places is one run.

    Raises:
        UserError: there is none somewhere, or one cannot be read.
    """
    runs: list[Run] = []
    for path in dict.fromkeys(path for folder in folders for path in find_runs(folder)):
        run = read_run(path)
        if not any(run.identity == one.identity and run.rows.equals(one.rows) for one in runs):
            runs.append(run)
    return runs


def sealed(content: Mapping[str, Any]) -> str:
    """Return JSON that also holds the hash of all else that it holds."""
    return dump({**content, SEAL: _hash_of(content)})


def check_seal(content: Mapping[str, Any]) -> None:
    """Refuse what was read from sealed JSON and is not what was written.

    Raises:
        ValueError: something in it was changed.
        KeyError: it has no seal.
    """
    if content[SEAL] != _hash_of({key: one for key, one in content.items() if key != SEAL}):
        raise ValueError("it was changed after it was written: its own hash differs")


def _hash_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump(content).encode()).hexdigest()


def dump(content: Mapping[str, Any]) -> str:
    """Return JSON that every parser reads: NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(content), indent=2, sort_keys=False, allow_nan=False) + "\n"


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content as it comes back from a file: tuples as lists, keys as text."""
    back: dict[str, Any] = json.loads(dump(content))
    return back


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
