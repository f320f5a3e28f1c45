"""Results about files, cached as long as the files do not change."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from episodes.cache import cache_folder
from episodes.decoding.media import stamp
from episodes.split import Progress

Work = Callable[[Path], Any]
"""From a path to what JSON can hold."""
SEAL = "seal"
"""Under which a note holds its own hash: a wrong one would stand for other videos' features."""


def remembered(
    what: str, root: Path, paths: Sequence[Path], work: Work, progress: Progress
) -> list[Any]:
    """Do some work for every path, in threads, and never twice for a file that has not changed.

    Every answer is stored at once: after an interruption only the rest is done.

    Args:
        what: names the work and its version; another name starts afresh.
        root: the folder that holds all the videos.
        paths: videos that exist, below the root.
        work: what to do; exceptions end everything.
        progress: told of what had to be done.

    Returns:
        the answers, in the order of the paths.
    """
    path_of_notes = _notebook(what, root)
    known = dict(_read(path_of_notes))
    stamps = {path: stamp(path) for path in paths}
    missing = [path for path in stamps if known.get(str(path), ([], None))[0] != stamps[path]]
    for done, (path, answer) in enumerate(_all(missing, work), start=1):
        write_note(path_of_notes, {"path": str(path), "stamp": stamps[path], "answer": answer})
        known[str(path)] = (stamps[path], answer)
        progress(done, len(missing))
    return [known[str(path)][1] for path in paths]


def recalled(what: str, root: Path, paths: Sequence[Path]) -> dict[Path, Any]:
    """Return what is remembered of those of the paths that have not changed; do no work."""
    known = dict(_read(_notebook(what, root)))
    return {
        path: known[str(path)][1]
        for path in paths
        if str(path) in known and known[str(path)][0] == stamp(path)
    }


def notebook(what: str) -> Path:
    """Return the file of answers of one piece of work."""
    key = hashlib.sha256(what.encode()).hexdigest()[:16]
    return cache_folder() / "videos" / f"{key}.jsonl"


def _notebook(what: str, root: Path) -> Path:
    return notebook(f"{what}\n{root.resolve()}")


def _read(path: Path) -> Iterator[tuple[str, tuple[list[int], Any]]]:
    for note in notes_from(path, 0)[0]:
        with suppress(LookupError, TypeError):
            yield note["path"], (note["stamp"], note["answer"])


def notes_from(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return what is written in a notebook from a place on, and where to go on next time.

    A line that a kill cut short, or that is not what was written, is passed over: what it said is
    found out again.
    """
    found: list[dict[str, Any]] = []
    if not path.exists() or path.stat().st_size <= offset:
        return found, offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    for line in data.split(b"\n"):
        with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            note: dict[str, Any] = json.loads(line)
            if note.pop(SEAL) == _seal(note):
                found.append(note)
    return found, offset + len(data)


def write_note(path: Path, note: Mapping[str, Any]) -> None:
    """Append one line; the line break in front heals a line that a kill cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"\n{json.dumps({**note, SEAL: _seal(note)})}"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:  # a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _seal(note: Mapping[str, Any]) -> str:
    """Enough of a note's hash to tell damage."""
    return hashlib.sha256(json.dumps(note).encode()).hexdigest()[:16]


def _all(paths: Sequence[Path], work: Work) -> Iterator[tuple[Path, Any]]:
    """Yield each path with its answer, as they come."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            futures: dict[Future[Any], Path] = {pool.submit(work, path): path for path in paths}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
