"""Run directories: how runs are written, found, read and checked.

``run.json`` holds the identity, ``rows.parquet`` one row for each query. Everything else, such as
the ``summary.json`` beside them, is derived and may be deleted.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.runs.checking import check_rows
from bench.runs.run import ROW_TYPES, Run
from bench.runs.schema import Failure, Header
from bench.settings import NAME_WITH_SETTINGS
from episodes.atomic import replacing, write_text
from episodes.errors import UserError, counted, shown
from episodes.schema import SEAL, check_seal, parsed, read_json, sealed

RESULTS_FOLDER = Path(__file__).parents[2] / "results"
"""The folder ``results/`` of a clone, or its copy beside the installed packages."""
SCHEMA = 3
"""Increased whenever `run.json` changes its form; `UPGRADES` converts older ones."""
FILES = ("run.json", "rows.parquet")
FAILURE = "failed.json"
"""Written in their place where a method failed."""
RUNNING = "running"
"""Exists while a method runs, and remains if that ended the process."""
MOST_ROWS = 200_000_000
"""Files that claim more are damaged: a million episodes of a hundred queries make half as many."""
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)
"""What reading damaged files may raise."""
COMPACT: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["query", "label", "prediction"],
}
ENCODING = {"margin": "BYTE_STREAM_SPLIT", "episode": "DELTA_BINARY_PACKED"}
"""How rows are written: in half the bytes of pyarrow's defaults."""


def write_run(folder: Path, run: Run) -> None:
    """Write a run. ``run.json`` comes last: without it, there is no run.

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
    write_text(folder / "run.json", header_text(run, (folder / "rows.parquet").read_bytes()))


def header_text(run: Run, rows: bytes) -> str:
    """Return the text of ``run.json``, given the content of ``rows.parquet``."""
    header = Header(
        schema_number=SCHEMA,
        rows_sha256=hashlib.sha256(rows).hexdigest(),
        identity=run.identity,
        declared=run.declared,
        cost=run.cost,
        circumstances=run.circumstances,
    )
    return sealed(header.content())


def write_failure(folder: Path, failure: Failure) -> None:
    """Record that a method failed, and delete the run that it was to replace.

    Raises:
        UserError: the folder holds files that no run wrote.
    """
    check_may_write(folder)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    write_text(folder / FAILURE, sealed(failure.content()))


def find_failures(folder: Path) -> list[Failure]:
    """Return the failures recorded at or below a folder.

    Raises:
        UserError: a record is damaged, or another program's file of that name.
    """
    failures = []
    for path in sorted(folder.resolve().glob(f"**/{FAILURE}")):
        try:
            content = _read_own(path, SEAL)
            check_seal(content)
            failures.append(parsed(Failure, content))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}; delete it and run again") from error
    return failures


def check_may_write(folder: Path) -> None:
    """Refuse a folder with files that no run wrote: ours would be mixed with them.

    Raises:
        UserError: naming one of them.
    """
    for path in folder.glob("*"):
        if path.name not in (*FILES, FAILURE, RUNNING) and ".unfinished" not in path.name:
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
        header = _read_header(path)
        content = (folder / "rows.parquet").read_bytes()
        if header.rows_sha256 != hashlib.sha256(content).hexdigest():
            raise ValueError("rows.parquet is not the one that was written with run.json")
        rows = _columns(open_rows(content))
        run = Run(header.identity, header.declared, header.cost, header.circumstances, rows)
        _check(run)
    except UNREADABLE as error:
        raise UserError(f"{folder} is damaged: {error}; delete it and run again") from error
    return run


def _read_own(path: Path, *keys: str) -> dict[str, Any]:
    """Read JSON that a run wrote. Files of other programs that have its name must be kept.

    Raises:
        UserError: it lacks one of the keys that distinguish a run's file.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise UserError(
            f"{path} is damaged, or not of a run of this program: {error}; move it elsewhere"
        ) from error
    for key in keys:
        if key not in content:
            raise UserError(
                f"{path} is not of a run of this program: it has no {key}; move it elsewhere, or"
                " name other folders"
            )
    return content


def _read_header(path: Path) -> Header:
    """Read ``run.json`` of any known schema.

    Raises:
        UserError: it is another program's, or of an unknown schema, such as a newer one.
        ValueError: it is damaged.
    """
    content = _read_own(path, "schema", "identity")
    schema = content["schema"]
    if schema != SCHEMA and schema not in UPGRADES:
        raise UserError(
            f"{path} has schema {schema}, this program reads {min(UPGRADES)} to {SCHEMA}; use the"
            " version of fewshot-video-bench that wrote it, or run again"
        )
    if schema == SCHEMA or SEAL in content:  # it may be the number that is damaged
        check_seal(content)
    for step in range(schema, SCHEMA):
        content = UPGRADES[step](content)
    try:
        return parsed(Header, content)
    except ValueError as error:
        raise ValueError(f"in run.json, {error}") from error


def open_rows(source: Path | bytes) -> pq.ParquetFile:
    """Open a file of rows, or its content, unless they would fill the memory.

    A small file may claim billions of rows.

    Raises:
        ValueError: there are too many.
    """
    file = pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source)
    count = file.metadata.num_rows
    if count > MOST_ROWS:
        raise ValueError(f"it claims {count:,} rows; there are at most {MOST_ROWS:,}")
    return file


def _columns(file: pq.ParquetFile) -> pd.DataFrame:
    """The columns of rows in their types. One by one, which takes a third of pandas' own time.

    Margins may be missing: they are most of the bytes, and no figure needs them.
    """
    table = file.read()
    columns = {name: table[name].to_numpy() for name in ROW_TYPES if name in table.column_names}
    columns.setdefault("margin", np.full(len(table), np.nan, np.float32))
    rows = pd.DataFrame(columns, copy=False)[list(ROW_TYPES)]
    other = {name: kind for name, kind in ROW_TYPES.items() if rows[name].dtype != kind}
    if not other:
        return rows
    ours = rows.astype(other)
    for name in other.keys() - {"margin"}:
        changed = rows[name][ours[name] != rows[name]]
        if len(changed):
            raise ValueError(
                f"column {name} holds {changed.iloc[0]}, which is not of type {ROW_TYPES[name]}"
            )
    return ours


def can_be_stated(name: str) -> bool:
    """Whether a run may state this as the name of a bank, of a recipe or of initial weights."""
    return bool(re.fullmatch(r"[^./\\\n\t][^/\\\n\t]{0,199}", name)) and shown(name) == name


def _check(run: Run) -> None:
    """Refuse a run with invalid names or rows.

    Names also become names of folders and parts of lines: no paths, no control codes.
    """
    identity = run.identity
    if not re.fullmatch(NAME_WITH_SETTINGS, identity.method):
        raise ValueError(f"{identity.method!r} is not a name of a method")
    training = identity.training
    for name in (identity.bank, *((training.recipe, training.start) if training else ())):
        if name and not can_be_stated(name):
            raise ValueError(f"{name!r} is not a name of a bank, a recipe or initial weights")
    episodes = run.rows["episode"].nunique()
    if episodes != identity.episodes or not episodes:
        raise ValueError(
            f"its rows are of {counted(episodes, 'episode')}, run.json says {identity.episodes:,}"
        )
    check_rows(run)


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Schema 2 says how a method was trained; with schema 1 none was, or that was not recorded.
    1: lambda old: old | {"schema": 2, "identity": {"training": None} | old["identity"]},
    # Schema 3 holds its own hash; older files are trusted as they are.
    2: lambda old: old | {"schema": 3},
}
"""Schema -> function that upgrades the content of ``run.json`` to the next one."""


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
    """Read the runs at or below folders, each `distinct` one once.

    Raises:
        UserError: a folder has none, or one cannot be read.
    """
    paths = dict.fromkeys(path for folder in folders for path in find_runs(folder))
    return distinct(map(read_run, paths))


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Return runs without repetitions: copies in several places are one run."""
    kept: list[Run] = []
    for run in runs:
        if not any(run.identity == one.identity and run.rows.equals(one.rows) for one in kept):
            kept.append(run)
    return kept
