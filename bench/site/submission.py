"""Submissions: a run in one file for others, who check it against its bank.

A submission is a ``.zip`` of three members: ``run.json`` and ``rows.parquet`` as in a run
directory, and ``figures.json``, the figures claimed for the rows. The same run gives the same bytes
anywhere, and nothing in it names a folder of the machine that made it.
"""

import hashlib
import json
import lzma
import math
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.comparison.frame import Comparison
from bench.comparison.row import flattened
from bench.comparison.summary import compare_on_one_bank
from bench.report.provenance import PLACE, without_places
from bench.runs.checking import DIFFERS, MOST_EPISODES, check_rows, rebuilt
from bench.runs.directory import FILES, UNREADABLE, find_runs, header_text, read_run
from bench.runs.run import ROW_TYPES, Run
from bench.runs.schema import Circumstances, Declared
from episodes.atomic import replacing
from episodes.banks.bank import Bank, unexplained
from episodes.errors import UserError
from episodes.schema import Model, dump, parsed, plain

FIGURES = "figures.json"
LARGEST = {"run.json": 1 << 20, "rows.parquet": 1 << 30, FIGURES: 1 << 20}
"""Member -> most bytes that it may unpack to."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Modification time of every member: the earliest that a .zip can state."""
MOST_ROWS = 20_000_000
"""Most rows of a submission: a small file may claim billions."""
CLOSE = 1e-9
"""Tolerance of figures: they differ in the last digits with the order of summation."""
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(NotImplementedError, RuntimeError, EOFError, OSError, ValueError),
)
"""What reading damaged archives may raise."""
Own = Callable[[int], Sequence[Bank]] | None
"""Opens banks given by a recipe file or a folder of videos, with a number of episodes."""


class RefusedError(UserError):
    """A submission that is not what it claims to be."""


@dataclass(frozen=True)
class Submission:
    """A run that has been checked against its bank."""

    run: Run
    bank: Bank
    comparison: Comparison
    """The figures of this run alone, computed here."""
    rows_sha256: str


def pack(place: Path, file: Path, own: Own = None) -> None:
    """Write a submission of the run at or below a folder.

    Args:
        place: a run directory, or a folder that holds one.
        file: the ``.zip`` to write.
        own: opens the run's bank, if that has no name here.

    Raises:
        UserError: there are several runs, the run is damaged, its bank cannot be drawn here, or its
            identity names a folder of this machine.
    """
    if file.suffix != ".zip":
        raise UserError(f"--out {file}: a submission is a .zip; call it {file.with_suffix('.zip')}")
    folder, *others = find_runs(place)
    if others:
        raise UserError(
            f"{place} holds {1 + len(others)} runs, a submission holds one; name one of them, such"
            f" as {folder}"
        )
    run = read_run(folder)
    if named := PLACE.search(json.dumps(run.identity.content())):
        raise UserError(
            f"the run's identity names a folder of this machine, {named[0]}, which nobody else has;"
            " run again with a name in its place"
        )
    shown = replace(
        run,
        declared=parsed(Declared, _without_places(run.declared.content())),
        circumstances=parsed(Circumstances, _without_places(run.circumstances.content())),
    )
    rows = (folder / "rows.parquet").read_bytes()
    contents = {
        "run.json": header_text(shown, rows).encode(),
        "rows.parquet": rows,
        FIGURES: dump(figures(_checked(run, own)[1]).content()).encode(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # Members are not compressed, which would differ between versions of zlib.
    with replacing(file) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, LONG_AGO)
            member.create_system = 3  # Unix, wherever this runs
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return without_places(value) if isinstance(value, str) else value


def unpack(file: Path, own: Own = None) -> Submission:
    """Read a submission and check everything that can be checked without its videos.

    The bank is drawn anew, rows must answer each of its queries once, and the stated figures must
    follow from the rows.

    Args:
        file: the submission, which is not trusted.
        own: opens its bank, if that has no name here.

    Raises:
        RefusedError: it is not what it claims to be; the message says why.
        UserError: its bank cannot be drawn here.
    """
    contents = _members(file)
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            (Path(folder) / name).write_bytes(contents[name])
        try:
            _check_size(Path(folder) / "rows.parquet")
            run = read_run(Path(folder))
            if run.rows["episode"].max() >= MOST_EPISODES:
                raise ValueError(f"its rows name episodes beyond {MOST_EPISODES:,}")
        except (UserError, RecursionError, *UNREADABLE) as error:
            reason = str(error).replace(f"{folder} is damaged: ", "").replace(f"{folder}/", "")
            reason = reason.removesuffix("; delete it and run again").replace("\n", " ")
            raise RefusedError(f"{file} holds no run that can be read: {reason}") from error
    try:
        bank, comparison = _checked(run, own)
    except UNREADABLE as error:
        raise RefusedError(f"{file} holds no run that can be compared: {error}") from error
    _check_figures(file, contents[FIGURES], comparison)
    return Submission(run, bank, comparison, hashlib.sha256(contents["rows.parquet"]).hexdigest())


def _members(file: Path) -> dict[str, bytes]:
    """Read the members of a submission, none beyond its limit."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if sorted(names) != sorted(LARGEST):
                some = ", ".join(repr(name)[:60] for name in names[:5]) or "nothing"
                raise RefusedError(
                    f"{file} holds {some}; a submission holds {', '.join(LARGEST)} once each and"
                    " nothing else"
                )
            contents = {}
            for name, most in LARGEST.items():
                with archive.open(name) as member:
                    contents[name] = member.read(most + 1)
                if len(contents[name]) > most:
                    raise RefusedError(f"{file}: {name} unpacks to more than {most:,} bytes")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(
            f"{file}: there is no such file; `fvbench submit` makes one of a run"
        ) from error
    except BROKEN as error:
        raise RefusedError(
            f"{file} is not a submission: {error}; `fvbench submit` makes one"
        ) from error
    return contents


def _check_size(rows: Path) -> None:
    """Refuse rows that would exhaust memory when they are read."""
    table = pq.ParquetFile(rows)
    if table.metadata.num_rows > MOST_ROWS:
        raise ValueError(f"it claims {table.metadata.num_rows:,} rows, of at most {MOST_ROWS:,}")
    for field in table.schema_arrow:
        if field.name not in ROW_TYPES or not pa.types.is_primitive(field.type):
            raise ValueError(f"its column {field.name!r} of {field.type} is not a column of rows")


def _checked(run: Run, own: Own) -> tuple[Bank, Comparison]:
    """Draw the bank of a run anew, check the run against it, and compute the figures."""
    episodes = min(run.identity.episodes, MOST_EPISODES)
    bank, problem = rebuilt(run, own(episodes) if own else ())
    if bank is None:
        if run.declared.recipe is None and DIFFERS in problem:  # whoever has the name has its bank
            raise RefusedError(
                f"the run says that its episodes, of sha256 {run.identity.bank_sha256:.12}…, are"
                f" those of the bank {run.identity.bank}, which has others"
            )
        hint = "; --data FOLDER says where its videos are" if run.declared.root else ""
        raise UserError(f"the bank of this run cannot be drawn here: {problem}{hint}")
    actual = {
        "bank": bank.title,
        "episodes": len(bank.episodes),
        "dataset": bank.recipe.dataset,
        "split": bank.recipe.split,
        "protocol": bank.recipe.protocol,
        "way": bank.recipe.way,
        "shot": bank.recipe.shot,
    }
    for field, value in actual.items():
        stated = getattr(run.identity, field)
        if stated not in (None, value):
            raise RefusedError(
                f"the run says {field} {stated!r}, its bank {bank.title} has {value!r}"
            )
    try:
        check_rows(run, bank)
        if chosen := unexplained(bank):
            raise ValueError(
                f"the run leaves out {chosen:,} episodes of {bank.recipe.name} for which no video"
                " is missing"
            )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return bank, compare_on_one_bank([run], banks=[bank])


class ClaimedFigures(Model):
    """``figures.json`` of a submission: what is claimed for its rows."""

    queries: int
    """Query videos scored, over all episodes."""
    accuracy: float
    """A fraction."""
    intervals: dict[str, tuple[float | None, float | None]]
    """95%, by what varies; null after a single episode."""

    def numbers(self) -> dict[str, float]:
        """Return the figures by name, the ends of intervals apart; NaN for null."""
        flat: dict[str, Any] = flattened(plain(self.content()))
        return {name: math.nan if value is None else float(value) for name, value in flat.items()}


def figures(comparison: Comparison) -> ClaimedFigures:
    """Return the figures of a single run."""
    (row,) = comparison.rows
    return ClaimedFigures(
        queries=row.queries,
        accuracy=row.accuracy,
        intervals={str(kind): ends for kind, ends in row.intervals.items()},
    )


def _check_figures(file: Path, content: bytes, comparison: Comparison) -> None:
    """Refuse stated figures that do not follow from the rows."""
    try:
        stated = parsed(ClaimedFigures, json.loads(content)).numbers()
    except (*UNREADABLE, OverflowError, RecursionError) as error:
        raise RefusedError(f"{file}: {FIGURES} holds no figures: {error}") from error
    for name, value in figures(comparison).numbers().items():
        claim = stated.get(name)
        if claim is None or not np.isclose(claim, value, rtol=CLOSE, atol=CLOSE, equal_nan=True):
            raise RefusedError(f"{file}: {FIGURES} states {name} {claim}, its rows give {value}")
