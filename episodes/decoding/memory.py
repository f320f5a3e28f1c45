"""Results of work on videos, cached as long as the videos do not change."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from episodes.atomic import content_seal
from episodes.cache import cache_folder
from episodes.decoding.media import content_sha256, stamp, why_not_opened
from episodes.errors import UserError
from episodes.split import Progress, Video, VideoFile

SEAL = "seal"
"""Key of an entry's own hash: a damaged entry could stand for the features of other videos."""


def hashed_files(
    videos: Sequence[Video], paths: Sequence[Path], root: Path, progress: Progress
) -> list[VideoFile]:
    """Return videos with their paths and the hashes of their content.

    Raises:
        UserError: a path is not a video that may be opened, or lies outside the root.
    """
    reasons = {path: why for path in paths if (why := why_not_opened(path, root))}
    if reasons:
        path, why = next(iter(reasons.items()))
        more = f", and {len(reasons) - 1} others like it" if len(reasons) > 1 else ""
        raise UserError(
            f"{path}: {why}{more}; copy the video to where it is looked for, take it away, or leave"
            " it out with `fvbench run --allow-missing`"
        )
    hashes = remembered("sha256", root, paths, content_sha256, progress)
    return list(map(VideoFile, videos, paths, hashes))


def remembered(
    what: str,
    root: Path,
    paths: Sequence[Path],
    work: Callable[[Path], Any],
    progress: Progress,
    failed: Callable[[Any], bool] = lambda _: False,
) -> list[Any]:
    """Do some work on every video, in threads; not again on one that has not changed.

    Every answer is stored at once, so that an interrupted work resumes.

    Args:
        what: names the work and its version; another name starts afresh.
        root: the folder that holds all the videos.
        paths: existing videos below the root.
        work: from a path to a value that JSON can hold; an exception ends everything.
        progress: called for the videos whose answers were not stored.
        failed: whether a stored answer does not count, so that the work is done again.

    Returns:
        the answers, in the order of the paths.
    """
    file = journal(f"{what}\n{root.resolve()}")
    known = answers_in(file)
    stamps = {path: stamp(path) for path in paths}

    def due(path: Path) -> bool:
        then, answer = known.get(str(path), ([], None))
        return then != stamps[path] or failed(answer)

    missing = list(filter(due, stamps))
    for done, (path, answer) in enumerate(_all(missing, work), start=1):
        write_entry(file, {"path": str(path), "stamp": stamps[path], "answer": answer})
        known[str(path)] = (stamps[path], answer)
        progress(done, len(missing))
    return [known[str(path)][1] for path in paths]


def recalled(what: str, root: Path, paths: Sequence[Path]) -> dict[Path, Any]:
    """Return the stored answers for those paths that have not changed; do no work."""
    known = answers_in(journal(f"{what}\n{root.resolve()}"))
    return {
        path: known[str(path)][1]
        for path in paths
        if str(path) in known and known[str(path)][0] == stamp(path)
    }


def journal(what: str) -> Path:
    """Return the file that holds the answers of one kind of work."""
    key = hashlib.sha256(what.encode()).hexdigest()[:16]
    return cache_folder() / "videos" / f"{key}.jsonl"


def answers_in(journal: Path) -> dict[str, tuple[list[int], Any]]:
    """Return the stamp and the answer for each path, the latest of several."""
    answers: dict[str, tuple[list[int], Any]] = {}
    for entry in entries_from(journal, 0)[0]:
        with suppress(LookupError, TypeError):
            answers[entry["path"]] = entry["stamp"], entry["answer"]
    return answers


def entries_from(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return the entries after an offset in a journal, and the offset to go on from next time.

    A line that a kill cut short, or that was changed, is skipped: its work is done again.
    """
    found: list[dict[str, Any]] = []
    if not path.exists() or path.stat().st_size <= offset:
        return found, offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    for line in data.split(b"\n"):
        with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            entry: dict[str, Any] = json.loads(line)
            if entry.pop(SEAL) == content_seal(entry)[:16]:
                found.append(entry)
    return found, offset + len(data)


def write_entry(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one line; the line break in front heals a line that a kill cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"\n{json.dumps({**entry, SEAL: content_seal(entry)[:16]})}"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:  # a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _all(paths: Sequence[Path], work: Callable[[Path], Any]) -> Iterator[tuple[Path, Any]]:
    """Yield each path with its answer, in the order in which the work is done."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            futures: dict[Future[Any], Path] = {pool.submit(work, path): path for path in paths}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
