"""Decoding in a process of its own: what crashes or hangs there ends in one message here.

A request is a line of JSON, and so is its answer. Before the answer come frames, some at a time: a
line with their indices and their shape, and their pixels. `Process` is the client, `serve` the
server.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BufferedReader, BufferedWriter
from mmap import mmap
from pathlib import Path
from typing import Any, cast

import numpy as np

from episodes.decoding.readers import DECODERS, Pixels, UnreadableError, examined, read
from episodes.decoding.sampling import Jittered, Sampling, frame_indices
from episodes.errors import LONGEST

TIME_LIMIT = 60.0
"""Seconds that a reader may take for one frame; after that its process ends itself."""
MEMORY_LIMIT = 4 << 30
"""Address space of a process in bytes, on Linux: a header may ask for any amount."""
AT_ONCE = 8 << 20
"""Bytes of frames that are handed over together; a larger frame goes alone."""
PIPE = 1 << 20
"""Bytes that may wait in a pipe, on Linux: with fewer, the two sides wake each other more often."""

Receive = Callable[[list[int], Pixels], None]
"""Takes indices and pixels of some frames, uint8 (frames, height, width, 3)."""


@dataclass(frozen=True)
class Request:
    """A file to examine or, given a decoder, to read; arguments as for `clips.decode_each`."""

    path: str
    decoder: str | None = None
    frames: int = 0
    sampling: Sampling = ""
    known: int | None = None
    """Frames in the file, if it was read before."""
    sha256: str = ""
    limit: float = field(default_factory=lambda: TIME_LIMIT)


@dataclass(frozen=True)
class Answer:
    """What became of a request."""

    error: str | None = None
    """Why the file cannot be read; None if it can."""
    frames: int = 0
    """Frames in the file, after reading."""
    container: str = ""
    complaint: str = ""
    """Both after examining, as `readers.examined` returns them."""


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
        self.pid = self._process.pid

    def ask(self, request: Request, receive: Receive) -> Answer:
        """Have a request answered; if the process ends before, the error says how."""
        to = cast(BufferedWriter, self._process.stdin)
        back = cast(BufferedReader, self._process.stdout)
        with suppress(BrokenPipeError):
            to.write(json.dumps(asdict(request)).encode() + b"\n")
            to.flush()
        while (line := back.readline()).endswith(b"\n"):  # a killed process may leave half a line
            content = json.loads(line)
            if isinstance(content, dict):
                return Answer(**content)
            indices, shape = content
            size = math.prod(shape)
            # Memory of large frames goes back to the system at once.
            large = size > AT_ONCE
            memory = np.frombuffer(mmap(-1, size), np.uint8) if large else np.empty(size, np.uint8)
            if back.readinto(memory.data) < size:
                break
            receive(indices, memory.reshape(shape))
            del memory
        return Answer(self._end())

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def _end(self) -> str:
        """Describe how the process ended."""
        status = self._process.wait()
        if status < 0:
            return f"its decoder crashed: {signal.Signals(-status).name}"
        self._log.seek(0)
        log = self._log.read().decode(errors="replace").strip()
        if "Timeout (" in log:  # which faulthandler writes, see `_Watchdog`
            return f"its decoder produced no frame for {TIME_LIMIT:.0f} seconds"
        last = log.rpartition("\n")[2] or f"status {status}"
        return f"its decoder ended: {last[:LONGEST]}"

    def close(self) -> None:
        """End it: without a request it has nothing to do."""
        self._process.kill()
        self._process.communicate()
        self._log.close()


idle: list[Process] = []
"""Processes that wait for a request, the one that was used last at the end."""
_lock = threading.Lock()
# A forked process must not talk to the processes of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=idle.clear)


@atexit.register
def close_idle() -> None:
    """End all processes that wait for a request."""
    while idle:
        idle.pop().close()


def answered(request: Request, receive: Receive) -> Answer:
    """Have an idle process, or a new one, answer a request; see `Process.ask`."""
    with _lock:
        process = idle.pop() if idle else None
    process = process or Process()
    kept = False
    try:
        answer = process.ask(request, receive)
        kept = not process.ended()
        return answer
    finally:
        if kept:
            with _lock:
                idle.append(process)
        else:
            process.close()


def serve() -> None:
    """Answer requests until there are none: the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client decides what an interrupt ends
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - Windows has none

        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        with suppress(ValueError, OSError):  # a crash leaves no dump of its memory behind
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        request = Request(**json.loads(line))
        alive = _Watchdog(request.limit)
        try:
            if request.decoder is None:
                container, complaint = examined(Path(request.path), alive)
                answer = Answer(container=container, complaint=complaint)
            else:
                answer = _read(request, request.decoder, _Sender(replies), alive)
        except UnreadableError as error:
            answer = Answer(str(error))
        except MemoryError:
            answer = Answer("it asks for more memory than a video may have")
        except Exception as error:  # a bad file must not end the others
            answer = Answer(f"{type(error).__name__}: {error}")
        finally:
            faulthandler.cancel_dump_traceback_later()
        replies.write(json.dumps(asdict(answer)).encode() + b"\n")
        replies.flush()


class _Watchdog:
    """Ends the process if no frame comes. Its thread needs no lock that libav may hold."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._since = -math.inf
        self()

    def __call__(self) -> None:
        """Start the clock again; not at every frame, since that starts a thread."""
        if time.monotonic() - self._since > self._limit / 10:
            self._since = time.monotonic()
            faulthandler.dump_traceback_later(self._limit, exit=True)


class _Sender:
    """Sends frames to the client, several small ones at once."""

    def __init__(self, replies: Any) -> None:
        self._replies = replies
        self._indices: list[int] = []
        self._frames: list[Pixels] = []

    def __call__(self, index: int, frame: Pixels) -> None:
        if self._frames and frame.shape != self._frames[0].shape:
            raise UnreadableError("its frames change in size")
        self._indices.append(index)
        self._frames.append(frame)
        if sum(waiting.nbytes for waiting in self._frames) > AT_ONCE - frame.nbytes:
            self.flush()

    def flush(self) -> None:
        if not self._frames:
            return
        head = self._indices, [len(self._frames), *self._frames[0].shape]
        self._replies.write(json.dumps(head).encode() + b"\n")
        for frame in self._frames:
            self._replies.write(np.ascontiguousarray(frame).data)
        self._indices, self._frames = [], []


def _read(request: Request, decoder: str, send: _Sender, alive: _Watchdog) -> Answer:
    path = Path(request.path)
    rule: Any = request.sampling
    if not isinstance(rule, str):  # JSON has made other types of it
        rule = Jittered(**rule) if isinstance(rule, dict) else tuple(rule)
    if request.sha256:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != request.sha256:
                return Answer("its content has changed since it was hashed: give the command again")
    count = read(
        DECODERS[decoder],
        path,
        lambda available: frame_indices(rule, available, request.frames).tolist(),
        request.known,
        send,
        alive,
    )
    send.flush()
    return Answer(frames=count)
