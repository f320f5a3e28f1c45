"""Decoding in a process of its own: what crashes or hangs there ends in one message here.

A request is a line of JSON; answers are lines of JSON, each followed by the pixels that it
announces. `Process` is the client, `serve` the server.
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
Request = dict[str, Any]
"""What to ``do``, with its arguments by name: see `_read` and `_examine`."""
Answer = dict[str, Any]


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
        """Have a request answered; if the process ends before, ``error`` says how."""
        to = cast(BufferedWriter, self._process.stdin)
        back = cast(BufferedReader, self._process.stdout)
        with suppress(BrokenPipeError):
            to.write(json.dumps(request).encode() + b"\n")
            to.flush()
        while (line := back.readline()).endswith(b"\n"):  # a killed process may leave half a line
            answer: Answer = json.loads(line)
            if "shape" not in answer:
                return answer
            size = math.prod(answer["shape"])
            # Memory of large frames goes back to the system at once.
            large = size > AT_ONCE
            memory = np.frombuffer(mmap(-1, size), np.uint8) if large else np.empty(size, np.uint8)
            if back.readinto(memory.data) < size:
                break
            receive(answer["indices"], memory.reshape(answer["shape"]))
            del memory
        return {"error": self._end()}

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
    """Have an idle process, or a new one, answer a request.

    Returns:
        the answer; if the process died, how, under ``error``.
    """
    with _lock:
        process = idle.pop() if idle else None
    process = process or Process()
    kept = False
    try:
        answer = process.ask({**request, "limit": TIME_LIMIT}, receive)
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
        request = json.loads(line)
        alive = _Watchdog(request["limit"])
        try:
            answer = _ACTIONS[request["do"]](request, _Sender(replies), alive)
        except UnreadableError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "it asks for more memory than a video may have"}
        except Exception as error:  # a bad file must not end the others
            answer = {"error": f"{type(error).__name__}: {error}"}
        finally:
            faulthandler.cancel_dump_traceback_later()
        replies.write(json.dumps(answer).encode() + b"\n")
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
        shape = [len(self._frames), *self._frames[0].shape]
        head = {"indices": self._indices, "shape": shape}
        self._replies.write(json.dumps(head).encode() + b"\n")
        for frame in self._frames:
            self._replies.write(np.ascontiguousarray(frame).data)
        self._indices, self._frames = [], []


def _read(request: Request, send: _Sender, alive: _Watchdog) -> Answer:
    path, frames, sampling = Path(request["path"]), request["frames"], request["sampling"]
    rule: Sampling
    if isinstance(sampling, dict):
        rule = Jittered(**sampling)
    else:
        rule = sampling if isinstance(sampling, str) else tuple(sampling)
    if request["sha256"]:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != request["sha256"]:
                return {
                    "error": "its content has changed since it was hashed: give the command again"
                }
    count = read(
        DECODERS[request["decoder"]],
        path,
        lambda available: frame_indices(rule, available, frames).tolist(),
        request["known"],
        send,
        alive,
    )
    send.flush()
    return {"frames": count}


def _examine(request: Request, _send: _Sender, alive: _Watchdog) -> Answer:
    container, complaint = examined(Path(request["path"]), alive)
    return {"container": container, "complaint": complaint}


_ACTIONS = {"read": _read, "examine": _examine}
