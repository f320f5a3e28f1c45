"""Atomic writes: a file is either complete or absent; and the hash by which damage is detected."""

import errno
import hashlib
import json
import os
import platform
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_tidied: set[Path] = set()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it is renamed to ``path`` in one step.

    A reader sees the old file or the new one, never part of a file, even if the writer is killed.
    Two writers do not disturb each other: the last to finish wins. The unfinished file keeps its
    suffix, by which encoders choose a format. Files that killed writers on this computer left in
    the folder are removed.

    Raises:
        OSError: writing failed; it names ``path``, where the system names the unfinished file, or
            none, as for a full disk.
    """
    _remove_leftovers(path.parent)
    unfinished = path.with_name(
        f".{_writer(os.getpid())}-{uuid.uuid4().hex}.unfinished{path.suffix}"
    )
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync(path.parent)
    except OSError as error:
        if error.filename in {None, str(unfinished)}:
            code = error.errno or errno.EIO
            raise OSError(code, error.strerror or str(error), str(path)) from error
        raise
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _writer(process: int) -> str:
    """Return the beginning of the names of unfinished files: the computer and the process."""
    computer = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return f"{computer}-{process}"


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of writers that no longer run, once for each folder."""
    if folder in _tidied:
        return
    _tidied.add(folder)
    for path in folder.glob(".*-*-*.unfinished*"):
        process = path.name.split("-")[1]
        if path.name.startswith(f".{_writer(0)[:8]}-") and process.isdecimal():
            try:
                os.kill(int(process), 0)
            except ProcessLookupError:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            except OSError:  # it runs, and belongs to another user
                continue


def _sync(folder: Path) -> None:
    """Flush a folder's entries to disk, if the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step, and its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def content_seal(content: Mapping[str, Any]) -> str:
    """Return the sha256 of JSON content, which its file also holds."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
