"""A method that fails, and what it must not do to the others: whatever it does, the run goes on."""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from episodes.errors import UserError

SURROUNDINGS: Sequence[tuple[str, Callable[[], Any], Callable[[Any], object]]] = (
    ("torch's default type", torch.get_default_dtype, torch.set_default_dtype),
    ("torch's default device", torch.get_default_device, torch.set_default_device),
    ("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    ("torch's recording of gradients", torch.is_grad_enabled, torch.set_grad_enabled),
    (
        "torch's choice of deterministic algorithms",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    (
        "the precision of torch's products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    ("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ("the current folder", Path.cwd, os.chdir),
)
"""What belongs to the whole process and changes what others compute: name, how it is read, how it
is put back."""
REPEATED = 1.0
"""Seconds after which a method that does not stop at its time limit is stopped again."""


class _TimeLimitError(BaseException):
    """Not an `Exception`: a method that catches those is stopped all the same."""


@contextmanager
def contained(method: str, seed: int, seconds: float | None = None) -> Iterator[None]:
    """Turn whatever a method does in the block into one error, and undo what it did to the process.

    Random numbers that it draws there begin with ``seed``, and the caller's go on as if it had
    drawn none. A method that ends the process from within a library (`os._exit`, a crash) ends it.

    Args:
        method: its name.
        seed: of torch's global generators.
        seconds: how long it may take; without end if None.

    Raises:
        UserError: the method raised something, exited, took too long, or left the process changed.
    """
    before = [read() for _, read, _ in SURROUNDINGS]
    try:
        with torch.random.fork_rng(), _limited(method, seconds):
            torch.manual_seed(seed)
            yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(f"method {method} failed: {_described(error)}") from error
    finally:
        changed = _put_back(before)
    if changed:
        raise UserError(
            f"method {method} changed {' and '.join(changed)} for the whole process, and so for"
            " every other method; it has been put back: mend the method"
        )


def _put_back(before: Sequence[Any]) -> list[str]:
    """Undo changes of the surroundings; return what had changed."""
    changed = []
    for (name, read, write), value in zip(SURROUNDINGS, before, strict=True):
        if read() != value:
            write(value)
            changed.append(name)
    return changed


@contextmanager
def _limited(method: str, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        raise UserError("--time-limit needs POSIX signals and the main thread; leave it out here")

    def stop(*_: object) -> None:
        raise _TimeLimitError

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEATED)
        yield
    except _TimeLimitError as error:
        raise UserError(
            f"method {method} took longer than {seconds:g} s; raise --time-limit, or leave it out"
        ) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _described(error: BaseException) -> str:
    """What was raised, in one line, and where in the method's own code."""
    words = " ".join(str(error).split())
    said = f"{type(error).__name__}: {words}" if words else type(error).__name__
    harness = Path(__file__).parents[2]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        inside = path.is_relative_to(harness / "bench") or "site-packages" in path.parts
        if path.is_file() and not inside:
            return f"{said} ({path.name}, line {frame.lineno})"
    return said
