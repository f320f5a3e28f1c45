"""One writer at a time in a folder: a lock that names its holder and is released when it dies."""

import contextlib
import errno
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from episodes.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
UNLOCKABLE = {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of read-only folders, and of file systems without locks."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for one command; do nothing if the system has no locks.

    Raises:
        UserError: another command holds the lock; the message names it.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    try:
        file = _opened_and_locked(path)
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise
        yield
        return
    holder = {
        "process": os.getpid(),
        "computer": platform.node(),
        "command": shlex.join(["fvbench", *sys.argv[1:]]),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _opened_and_locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.pread(file, 4096, 0))
            os.close(file)
            raise UserError(
                f"{path.parent} is in use by {holder}; wait until that is done, or choose another"
                " --out"
            ) from None
        except OSError:
            os.close(file)
            raise
        # The last holder may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(file).st_ino == path.stat().st_ino:
                return file
        os.close(file)


def _holder(content: bytes) -> str:
    """Describe the holder of a lock, which may not have written its name yet."""
    try:
        known = json.loads(content)
        return "process {process} on {computer} since {since} ({command})".format_map(known)
    except (ValueError, LookupError, TypeError, RecursionError):
        return "another process"
