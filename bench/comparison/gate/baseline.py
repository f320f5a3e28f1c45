"""Baselines: runs that others are compared with, and the record of who accepted them.

A baseline is a folder of run directories. Once `accept` has written it, ``accepted.json`` beside
them says who accepted what and when, with the hash of every run; a baseline that was changed in
another way is refused. The first accepted run of a method is kept under ``anchor/`` when another
replaces it, so that a baseline that moves in small steps is still compared with its start.
"""

import getpass
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from pydantic import Field

from bench.comparison.gate.verdict import Verdict, name_of
from bench.runs.by_method import MethodRuns
from bench.runs.circumstances import git
from bench.runs.directory import FILES, distinct, find_runs, read_run, write_run
from bench.runs.run import Run
from episodes.atomic import write_text
from episodes.errors import UserError
from episodes.schema import SEAL, Model, check_seal, parsed, read_json, sealed

RECORD = "accepted.json"
ANCHOR = "anchor"
PLAIN = str.maketrans({" ": "-", "(": None, ")": None, ",": None})
"""Translates the name of a method to the name of a folder."""


class Acceptance(Model):
    """Who accepted what, and when."""

    by: str
    """Name and address of git's user, or the account."""
    at: str
    """Date and time, ISO 8601."""
    commit: str | None = None
    """Commit of the clone in which the runs were made."""
    dirty: bool | None = Field(default=None, alias="uncommitted changes")
    """Whether its files have changed since."""
    changes: list[str]
    """What it changed, method by method."""


class BaselineRecord(Model):
    """``accepted.json``: the contents and the history of a baseline."""

    runs: dict[str, str]
    """Folder of a run -> hash of its files."""
    history: list[Acceptance]
    """The oldest first."""
    content_sha256: str | None = None
    """Hash of all other fields; older files have none."""


def read_baseline(folder: Path) -> list[Run]:
    """Read the runs of a baseline, its anchor aside.

    Raises:
        UserError: there is none, one is damaged, or they are not those that were accepted.
    """
    _recover(folder)
    find_runs(folder)  # refuses a folder without runs
    if (record := _record(folder)) is not None:
        old, new = record.runs, _hashes(folder)
        if changed := sorted(name for name in old.keys() | new if old.get(name) != new.get(name)):
            raise UserError(
                f"{folder / RECORD} does not vouch for {', '.join(changed)}: a baseline changes by"
                " `fvbench gate --accept` only; restore it, or accept a run anew"
            )
    return unchecked(folder)


def unchecked(folder: Path) -> list[Run]:
    """Read the runs in the folder of a baseline, accepted or not; there may be none."""
    _recover(folder)
    return distinct(map(read_run, _runs_in(folder)))


def read_anchor(folder: Path) -> list[Run]:
    """Read the first accepted runs of methods whose baseline has moved since."""
    return list(map(read_run, _runs_in(folder / ANCHOR)))


def accept(folder: Path, runs: Sequence[Run], verdicts: Sequence[Verdict]) -> Path:
    """Make runs the baseline: write them, and record who accepted what and when.

    All seeds of a method are replaced together; methods of the baseline that the run does not have
    stay. Everything is written to a copy, which then replaces the baseline: whatever interrupts
    this, either the old or the new one is there, whole.

    Args:
        folder: of the baseline; created if it does not exist.
        runs: the runs to accept.
        verdicts: on these runs against the old baseline, for the record. Whoever accepts a
            loss of accuracy gives up the anchor of that method.

    Returns:
        the record's path.

    Raises:
        UserError: the old record is damaged.
    """
    _recover(folder)
    folder = folder.resolve()
    copy, aside = _beside(folder, "accepting"), _beside(folder, "replaced")
    for left in (copy, aside):
        shutil.rmtree(left, ignore_errors=True)
    try:
        if folder.is_dir():
            shutil.copytree(folder, copy)
        _take_in(copy, runs, verdicts)
        if folder.is_dir():
            folder.rename(aside)
        copy.rename(folder)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    return folder / RECORD


def _runs_in(folder: Path) -> list[Path]:
    """Directories of the runs of a baseline, sorted, its anchor aside."""
    paths = sorted(path.parent for path in folder.glob("**/run.json"))
    return [path for path in paths if not path.is_relative_to(folder / ANCHOR)]


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _recover(folder: Path) -> None:
    """Restore the baseline that a killed process had put aside for the new one."""
    folder = folder.resolve()
    if not folder.exists() and _beside(folder, "replaced").is_dir():
        _beside(folder, "replaced").rename(folder)


def _take_in(folder: Path, runs: Sequence[Run], verdicts: Sequence[Verdict]) -> None:
    """Write runs into a baseline, and then its record."""
    record = _record(folder) or BaselineRecord(runs={}, history=[])
    meant = {  # a loss of accuracy, not of speed alone
        (one.method, one.bank)
        for one in verdicts
        for change in (one.since_baseline, one.since_anchor)
        if change is not None and change.outcome == "WORSE"
    }
    before = [(path, read_run(path)) for path in _runs_in(folder)]
    anchors = [(path, read_run(path)) for path in _runs_in(folder / ANCHOR)]
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault(_key(run), []).append(run)
    # All seeds of a method at once: a mean over some new ones and some old ones is of neither.
    for key, group in groups.items():
        old = [(path, run) for path, run in before if _key(run) == key]
        kept = [path for path, run in anchors if _key(run) == key]
        if key in meant:
            _delete(kept)
        elif not kept and _answers(run for _, run in old) != _answers(group):
            for path, run in old:
                write_run(folder / ANCHOR / path.relative_to(folder), run)
        # A folder that is a run itself becomes one that holds it.
        places = {run.seed: path for path, run in reversed(old) if path != folder}
        _delete([path for path, _ in old])
        for run in group:
            seed = "" if run.seed is None else f"-seed-{run.seed}"
            name = f"{key[0].translate(PLAIN)}{seed}"
            write_run(places.get(run.seed, folder / key[1] / name), run)
    accepted = Acceptance(
        by=_who(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=runs[0].circumstances.commit,
        dirty=runs[0].circumstances.dirty,
        # A run that is missing changes nothing: the baseline keeps its own.
        changes=[_change(one) for one in verdicts if one.revision is not None],
    )
    record = BaselineRecord(
        runs=_hashes(folder),
        history=[*record.history, accepted],
    )
    write_text(folder / RECORD, sealed(record.content()))


def _delete(places: Iterable[Path]) -> None:
    """Delete the files of runs, whose folders may hold others."""
    for path, name in product(places, FILES):
        (path / name).unlink()


def _key(run: Run) -> tuple[str, str]:
    """Method and bank: runs replace those for which these are the same."""
    return name_of(MethodRuns([run])), run.identity.bank


def _answers(runs: Iterable[Run]) -> dict[int | None, bytes]:
    """Answers by training seed."""
    return {run.seed: run.rows["prediction"].to_numpy().tobytes() for run in runs}


def _change(verdict: Verdict) -> str:
    """What a run changes in the baseline, for the record."""
    old = "none"
    if verdict.revision_before is not None:
        old = f"r{verdict.revision_before} {100 * verdict.accuracy_before:.2f}%"
    new = f"r{verdict.revision} {100 * verdict.accuracy:.2f}%"
    return f"{verdict.method} on {verdict.bank}: {verdict.outcome}, {old} -> {new}"


def _record(folder: Path) -> BaselineRecord | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        if SEAL in content:  # older ones have none
            check_seal(content)
        return parsed(BaselineRecord, content)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}; restore it") from error


def _hashes(folder: Path) -> dict[str, str]:
    """Directory of each run of a baseline, of its anchor too -> hash of its files."""
    return {
        path.relative_to(folder.resolve()).as_posix(): hashlib.sha256(
            b"".join((path / name).read_bytes() for name in FILES)
        ).hexdigest()
        for path in find_runs(folder)
    }


def _who() -> str:
    """Name and address of git's user, else the name of the account."""
    name, address = git("config", "user.name"), git("config", "user.email")
    if name is None or address is None:
        return getpass.getuser() if "USER" in os.environ else "unknown"
    return f"{name} <{address}>"
