"""Disks that are full, read-only, foreign or another file system: one message, and no loss.

A full disk is a small tmpfs, which only the superuser of Linux may mount; after it, the disk grows
and the same command ends as if nothing had been.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.attacks.outcomes import Tally
from tests.attacks.places import Place, content, leftovers, make_place
from tests.attacks.processes import prepare, run

LARGE = 12
"""Sizes of a full disk, for each command and what lies on it."""
NOBODY = 65534
Words = Callable[[Place, Path], tuple[object, ...]]
COMMANDS: dict[str, Words] = {
    "run": lambda place, out: (
        *("run", "--data", place.videos, "--episodes", 200, "--methods", "protonet,otam"),
        *("--report", "--out", out),
    ),
    "train": lambda place, out: (
        *("train", "mastaf", "--freeze-backbone", "--recipe", place.recipe, "--out", out),
    ),
    "figures": lambda place, out: ("figures", place.folder / "runs", "--out", out / "a.svg"),
    "accept": lambda place, out: ("gate", out, place.folder / "runs", "--accept"),
    "data add": lambda place, out: (*("data", "add", "mine", "--root", place.videos),),
}


def main(sizes: int) -> Iterator[Tally]:
    """Try every command on every kind of disk."""
    if os.name != "posix" or os.geteuid():
        raise SystemExit("disks: only the superuser may mount a small disk")
    prepare()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        place = make_place(Path(name))
        for command in ("run", "train"):  # fills the cache, so that a disk holds results alone
            out = place.folder / ("runs" if command == "run" else "trained")
            run(COMMANDS[command](place, out), place.folder / "log", place.environment)
        for command, words in COMMANDS.items():
            yield full(command, words, place, sizes)
            yield unwritable(command, words, place)
        yield elsewhere(place)


@contextlib.contextmanager
def disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Mount a disk of a size."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kibibytes}k,mode=777", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - from the path


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)  # noqa: S607 - from the path


def full(command: str, words: Words, place: Place, sizes: int) -> Tally:
    """Fill the disk of the results, and of cache and registrations, at different moments."""
    tally = Tally(f"full disk: {command}")
    whole = _undisturbed(words, place)
    for number in range(sizes):
        kibibytes = 4 * round(1.9**number)
        for what in ("results", "cache"):
            with disk(place.folder / "disk", kibibytes) as small:
                out = small / "out" if what == "results" else place.folder / "out"
                environment = dict(place.environment)
                if what == "cache":
                    environment |= {name: str(small) for name in environment}
                _attempt(tally, words, place, out, environment, f"{what}, {kibibytes} KiB")
                _mount("-o", "remount,size=4g", small)
                again = run(words(place, out), place.folder / "log", environment)
                outcome, said = again.outcome()
                if outcome != "harmless" or _made(out, whole) != whole or leftovers(small):
                    tally.add("wrong", f"{what}, {kibibytes} KiB, then room: {said[-400:]}")
            shutil.rmtree(place.folder / "out", ignore_errors=True)
    return tally


def unwritable(command: str, words: Words, place: Place) -> Tally:
    """A disk that is mounted read-only, and folders that belong to somebody else."""
    tally = Tally(f"read-only, no permission: {command}")
    for what in ("results", "cache"):
        with disk(place.folder / "disk", 1 << 20) as small:
            out = small / "out" if what == "results" else place.folder / "out"
            environment = dict(place.environment)
            if what == "cache":
                environment |= {name: str(small) for name in environment}
            _mount("-o", "remount,ro", small)
            _attempt(tally, words, place, out, environment, f"{what}, read-only")
            _mount("-o", "remount,rw", small)
            small.chmod(0o755)
            _attempt(tally, words, place, out, environment, f"{what}, no permission", _be_nobody)
            small.chmod(0o000)
            _attempt(tally, words, place, out, environment, f"{what}, hidden", _be_nobody)
        shutil.rmtree(place.folder / "out", ignore_errors=True)
    return tally


def elsewhere(place: Place) -> Tally:
    """Cache and results on different file systems, and renames between them."""
    tally = Tally("cache on another file system")
    for command in ("run", "train"):
        words = COMMANDS[command]
        whole = _undisturbed(words, place)
        with disk(place.folder / "disk", 1 << 20) as other:
            environment = dict(place.environment) | {"FVBENCH_CACHE": str(other)}
            out = place.folder / "out"
            for _ in range(3):
                done = run(words(place, out), place.folder / "log", environment)
                outcome, said = done.outcome()
                same = _made(out, whole) == whole
                tally.add(outcome if same else "wrong", said[-400:])
                shutil.rmtree(out)
    return tally


def _be_nobody() -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _undisturbed(words: Words, place: Place) -> dict[str, str]:
    out = place.folder / "out"
    done = run(words(place, out), place.folder / "log", place.environment)
    outcome, said = done.outcome()
    if outcome != "harmless":
        raise RuntimeError(f"undisturbed, the command ends so: {said}")
    found = content(out) if out.exists() else {}
    shutil.rmtree(out, ignore_errors=True)
    return found


def _made(out: Path, whole: dict[str, str]) -> dict[str, str]:
    """What was made, of what is made undisturbed."""
    found = content(out) if out.exists() else {}
    return {name: value for name, value in found.items() if name in whole}


def _attempt(
    tally: Tally,
    words: Words,
    place: Place,
    out: Path,
    environment: dict[str, str],
    what: str,
    before: Callable[[], object] = lambda: None,
) -> None:
    """Run a command that may fail, with one message that names a file or folder."""
    log = place.folder / "log"
    log.unlink(missing_ok=True)
    log.touch()
    log.chmod(0o666)
    done = run(words(place, out), log, environment, before)
    outcome, said = done.outcome()
    if outcome == "named" and "/" not in said.splitlines()[-1]:
        outcome = "wrong"
    tally.add(outcome, f"{what}: {said[-400:]}")
