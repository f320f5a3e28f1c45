"""The folder for files that can be regenerated: rendered videos and features, and who uses them.

A process that opens part of it holds a shared lock on that part until it ends, and what is locked
is not removed.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platformdirs

from episodes.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ENVIRONMENT_VARIABLE = "FVBENCH_CACHE"
MARK = ".in-use"
"""Locked by whoever uses a folder; its time of change is that of the last use."""
KINDS = {"features": "features", "text": "text features", "datasets": "rendered videos"}
"""Folders of the cache whose folders can be removed one by one -> what they hold."""

_held: dict[tuple[int, Path], int] = {}
"""Open files of locks, by process and folder."""


@dataclass(frozen=True)
class Part:
    """A folder of the cache."""

    kind: str
    folder: Path
    words: str
    """What it holds."""
    size: int
    """Bytes."""
    used: datetime
    """Last opened, or written to where nobody noted that."""

    @property
    def in_use(self) -> bool:
        """Whether a process has it open now."""
        return not _remove(self.folder, really=False)


def cache_folder() -> Path:
    """Return the cache folder: ``$FVBENCH_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("fewshot-video-bench")


def hold(folder: Path) -> None:
    """Note that this process uses a folder of the cache, until it ends."""
    key = os.getpid(), folder
    if fcntl is None or key in _held:
        return
    file = None
    try:
        file = os.open(folder / MARK, os.O_RDWR | os.O_CREAT, 0o644)
        os.utime(folder / MARK)
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # a cache that others own, or a file system without locks
        if file is not None:
            os.close(file)
        return
    _held[key] = file


def parts() -> list[Part]:
    """Return the folders of the cache that can be removed, the largest first.

    Raises:
        UserError: the cache is a file.
    """
    if (place := cache_folder()).is_file():
        raise UserError(f"the cache {place} is a file; name a folder")
    return sorted(_parts(), key=lambda part: -part.size)


def _parts() -> Iterator[Part]:
    for kind in KINDS:
        for folder in sorted((cache_folder() / kind).glob("*/")):
            files = [path for path in folder.rglob("*") if path.is_file()]
            mark = folder / MARK
            times = [mark] if mark.exists() else [folder, *files]
            yield Part(
                kind,
                folder,
                _words(folder),
                sum(path.stat().st_size for path in files),
                datetime.fromtimestamp(max(path.stat().st_mtime for path in times), UTC),
            )


def _words(folder: Path) -> str:
    try:
        identity = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        known = [identity.get(key) for key in ("backbone", "sampling", "device", "tower")]
    except (OSError, ValueError, AttributeError, RecursionError):
        return folder.name
    return ", ".join(str(one) for one in known if one) or folder.name


def clean(kind: str | None, unused_days: float | None) -> tuple[list[Part], list[Part]]:
    """Remove parts of the cache.

    Args:
        kind: only these, see `KINDS`; all if None.
        unused_days: only what has not been used for so long; whatever its age if None.

    Returns:
        what was removed, and what was not since a process is using it.

    Raises:
        UserError: there is no such kind, or the cache is a file.
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"the cache holds no {kind!r}, but {', '.join(KINDS)}")
    before = datetime.now(UTC) - timedelta(days=unused_days or 0)
    removed: list[Part] = []
    kept: list[Part] = []
    for part in parts():
        if kind in (None, part.kind) and (unused_days is None or part.used < before):
            (removed if _remove(part.folder, really=True) else kept).append(part)
    return removed, kept


def _remove(folder: Path, really: bool) -> bool:
    """Remove a folder unless a process uses it; say whether that was, or would be, possible."""
    file = None
    if fcntl is not None and (folder / MARK).exists():
        file = os.open(folder / MARK, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
    if really:
        shutil.rmtree(folder)
    if file is not None:
        os.close(file)
    return True
