"""Decoding in a process of its own: what crashes or hangs there ends in one message here.

A request is a line of JSON; answers are lines of JSON, each followed by the pixels that it
announces. `Process` is the side that asks, `serve` the side that decodes.
"""

import atexit
import faulthandler
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import BufferedReader, BufferedWriter
from mmap import mmap
from pathlib import Path
from typing import Any, cast

import numpy as np

from episodes.decoding.readers import DECODERS, Pixels, UnreadableError, examined, read
from episodes.decoding.sampling import Jittered, Sampling, frame_indices

TIME_LIMIT = 60.0
"""Seconds in which a reader must come to the next frame; then its process ends itself."""
MEMORY_LIMIT = 4 << 30
"""Bytes of address space of a process, on Linux: a header may ask for any amount."""
AT_ONCE = 8 << 20
"""Bytes of frames that are handed over together; a larger frame goes alone."""

PIPE = 1 << 20
"""Bytes that may wait in a pipe, on Linux: with fewer, the two sides wake each other more often."""

Receive = Callable[[list[int], Pixels], None]
"""Takes indices and pixels of some frames, uint8 (frames, height, width, 3)."""
Request = dict[str, Any]
Answer = dict[str, Any]


class DiedError(Exception):
    """The process ended while it worked; the message says how."""


class Process:
    """A process that decodes one file after another."""

    def __init__(self) -> None:
        """Start it."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        start = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            pipesize=PIPE if sys.platform == "linux" else -1,
        )

    def ask(self, request: Request, receive: Receive) -> Answer:
        """Have a request answered.

        Raises:
            DiedError: the process ended before the answer.
        """
        to = cast(BufferedWriter, self._process.stdin)
        back = cast(BufferedReader, self._process.stdout)
        with suppress(BrokenPipeError):
            to.write(json.dumps(request).encode() + b"\n")
            to.flush()
        while line := back.readline():
            answer: Answer = json.loads(line)
            if "shape" not in answer:
                return answer
            frames = _memory_for(answer["shape"])
            if back.readinto(frames.data.cast("B")) < frames.nbytes:
                break
            receive(answer["indices"], frames)
            del frames
        raise DiedError(self._end())

    def _end(self) -> str:
        """Describe how the process ended."""
        status = self._process.wait()
        if status == 1:
            return f"its decoder came to no further frame in {TIME_LIMIT:.0f} seconds"
        name = f"status {status}"
        if status < 0:
            name = signal.Signals(-status).name
        return f"its decoder crashed: {name}"

    def close(self) -> None:
        """End it: without a request it has nothing to do."""
        self._process.kill()
        self._process.communicate()
        self._log.close()


def _memory_for(shape: Sequence[int]) -> Pixels:
    """Return memory for frames; that of large ones goes back to the system at once."""
    size = math.prod(shape)
    return (
        np.empty(shape, np.uint8)
        if size <= AT_ONCE
        else np.frombuffer(mmap(-1, size), np.uint8).reshape(shape)
    )


_idle: list[Process] = []
_lock = threading.Lock()
# A forked process must not talk to the processes of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)


@atexit.register
def _close_all() -> None:
    while _idle:
        _idle.pop().close()


@contextmanager
def borrowed() -> Iterator[Process]:
    """Lend a process that is idle, or a new one; take it back unless an exception got through."""
    with _lock:
        process = _idle.pop() if _idle else None
    process = process or Process()
    try:
        yield process
    except BaseException:
        process.close()
        raise
    with _lock:
        _idle.append(process)


def request_to_read(
    path: Path, decoder: str, frames: int, sampling: Sampling, known: int | None, sha256: str
) -> Request:
    """Return the request for a clip; see `episodes.decoding.clips.decode`."""
    return {
        "do": "read",
        "path": str(path),
        "decoder": decoder,
        "frames": frames,
        "sampling": sampling if isinstance(sampling, str) else asdict(sampling),
        "known": known,
        "sha256": sha256,
        "limit": TIME_LIMIT,
    }


def request_to_examine(path: Path) -> Request:
    """Return the request for the container's name, and what a strict decoder says."""
    return {"do": "examine", "path": str(path), "limit": TIME_LIMIT}


def serve() -> None:
    """Answer requests until there are none: the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides what an interrupt ends
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    _limit_memory()
    for line in sys.stdin.buffer:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        request = json.loads(line)
        watchdog = _Watchdog(request["limit"])
        try:
            answer = _ACTIONS[request["do"]](request, _Sender(replies), watchdog)
        except UnreadableError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "it asks for more memory than a video may have"}
        except Exception as error:  # a bad file must not end the others
            answer = {"error": f"{type(error).__name__}: {error}"}
        finally:
            watchdog.stop()
        replies.write(json.dumps(answer).encode() + b"\n")
        replies.flush()


def _limit_memory() -> None:
    """Where the system can: a header that asks for too much then fails at once, and alone."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - Windows has none

        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


class _Watchdog:
    """Ends the process where no frame comes. Its thread needs no lock that libav may hold."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._set()

    def _set(self) -> None:
        self._since = time.monotonic()
        faulthandler.dump_traceback_later(self._limit, exit=True)

    def __call__(self) -> None:
        """Begin anew; not at every frame, since that starts a thread."""
        if time.monotonic() - self._since > self._limit / 10:
            self._set()

    def stop(self) -> None:
        faulthandler.cancel_dump_traceback_later()


class _Sender:
    """Hands frames over, several small ones at once."""

    def __init__(self, replies: Any) -> None:
        self._replies = replies
        self._indices: list[int] = []
        self._frames: list[Pixels] = []

    def __call__(self, index: int, frame: Pixels) -> None:
        if self._frames and frame.shape != self._frames[0].shape:
            raise UnreadableError("its frames change in size")
        self._indices.append(index)
        self._frames.append(frame)
        if sum(one.nbytes for one in self._frames) > AT_ONCE - frame.nbytes:
            self.flush()

    def flush(self) -> None:
        if not self._frames:
            return
        shape = [len(self._frames), *self._frames[0].shape]
        head = {"indices": self._indices, "shape": shape}
        self._replies.write(json.dumps(head).encode() + b"\n")
        for frame in self._frames:
            self._replies.write(np.ascontiguousarray(frame).data)
        self._indices, self._frames = [], []


def _read(request: Request, send: _Sender, alive: _Watchdog) -> Answer:
    path, frames, sampling = Path(request["path"]), request["frames"], request["sampling"]
    rule: Sampling = sampling if isinstance(sampling, str) else Jittered(**sampling)

    def choose(count: int) -> Collection[int]:
        indices: list[int] = frame_indices(rule, count, frames).tolist()
        return indices

    if request["sha256"]:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != request["sha256"]:
                return {
                    "error": "its content has changed since it was hashed: give the command again"
                }
    decoder = DECODERS[request["decoder"]]
    count = read(decoder, path, choose, request["known"], send, alive)
    send.flush()
    return {"frames": count}


def _examine(request: Request, _send: _Sender, alive: _Watchdog) -> Answer:
    container, complaint = examined(Path(request["path"]), alive)
    return {"container": container, "complaint": complaint}


_ACTIONS = {"read": _read, "examine": _examine}
