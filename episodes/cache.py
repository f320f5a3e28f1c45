"""The folder for files that can be recreated: rendered videos and features.

A process that opens part of it holds a shared lock on that part until it ends; locked parts are not
removed.
"""

import json
import os
import shutil
from contextlib import ExitStack, suppress
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
"""A file that users of a folder lock; it was last modified when the folder was last used."""
KINDS = {"features": "features", "text": "text features", "datasets": "rendered videos"}
"""Folders of the cache whose subfolders can be removed one by one -> what they hold."""

held_locks: dict[tuple[int, Path], int] = {}
"""(process, folder) -> open file of the lock."""


@dataclass(frozen=True)
class CacheFolder:
    """A folder of the cache."""

    kind: str
    folder: Path
    holds: str
    """What it holds."""
    size: int
    """Bytes."""
    used: datetime
    """When it was last opened or, if that was not recorded, last written to."""

    @property
    def in_use(self) -> bool | None:
        """Whether a process has it open now; None if its lock cannot be read."""
        try:
            return not _remove(self.folder, really=False)
        except OSError:
            return None


def cache_folder() -> Path:
    """Return the cache folder: ``$FVBENCH_CACHE``, or the platform's cache folder."""
    usual = platformdirs.user_cache_dir("fewshot-video-bench")
    chosen = os.environ.get(ENVIRONMENT_VARIABLE) or usual
    return Path(os.path.expanduser(chosen))  # noqa: PTH111 - pathlib raises an error


def hold(folder: Path) -> None:
    """Mark a folder of the cache as used by this process, until the process ends."""
    key = os.getpid(), folder
    if fcntl is None or key in held_locks:
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
    held_locks[key] = file


def parts() -> list[CacheFolder]:
    """Return the folders of the cache that can be removed, the largest first.

    Raises:
        UserError: the cache is a file.
    """
    if (place := cache_folder()).is_file():
        raise UserError(f"the cache {place} is a file; name a folder")
    found = []
    for kind in KINDS:
        for folder in sorted((place / kind).glob("*/")):
            files = [Path(top, name) for top, _, names in os.walk(folder) for name in names]
            known: dict[Path, os.stat_result] = {}
            for path in [folder, *files]:
                with suppress(OSError):  # a process that writes renames and removes files
                    known[path] = path.stat()
            if folder not in known:
                continue
            size = sum(known[path].st_size for path in files if path in known)
            mark = folder / MARK
            times = [known[mark]] if mark in known else known.values()
            used = datetime.fromtimestamp(max(one.st_mtime for one in times), UTC)
            found.append(CacheFolder(kind, folder, _content(folder), size, used))
    return sorted(found, key=lambda part: -part.size)


def _content(folder: Path) -> str:
    try:
        identity = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        known = [identity.get(key) for key in ("backbone", "sampling", "device")]
        if weights := identity.get("weights_sha256") or identity.get("tower"):
            known.append(f"weights {str(weights)[:8]}")
    except (OSError, ValueError, AttributeError, RecursionError):
        return folder.name
    return ", ".join(str(value) for value in known if value) or folder.name


def clean(
    kind: str | None, unused_days: float | None
) -> tuple[list[CacheFolder], list[tuple[CacheFolder, str]]]:
    """Remove parts of the cache: of a kind of `KINDS`, unused for a number of days, or all.

    Returns:
        the parts that were removed, and those that were kept, with the reason.

    Raises:
        UserError: there is no such kind, or the cache is a file.
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"the cache holds no {kind!r}, but {', '.join(KINDS)}")
    before = datetime.now(UTC) - timedelta(days=unused_days or 0)
    removed: list[CacheFolder] = []
    kept: list[tuple[CacheFolder, str]] = []
    for part in parts():
        if kind in (None, part.kind) and (unused_days is None or part.used < before):
            try:
                if _remove(part.folder, really=True):
                    removed.append(part)
                else:
                    kept.append((part, "a process is using it"))
            except OSError as error:  # others own it
                kept.append((part, error.strerror or str(error)))
    return removed, kept


def _remove(folder: Path, really: bool) -> bool:
    """Remove a folder unless a process is using it; return whether that is possible."""
    with ExitStack() as stack:
        try:
            if fcntl is not None:
                mark = folder / MARK
                # NFS locks only what is open for writing; what others own can only be read.
                file = os.open(mark, os.O_RDWR if os.access(mark, os.W_OK) else os.O_RDONLY)
                stack.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except FileNotFoundError:  # nobody has used it
            pass
        if really:
            with suppress(FileNotFoundError):  # another process removes it, too
                shutil.rmtree(folder)
    return True
