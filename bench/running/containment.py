"""Containing a method: whatever it does, it neither affects other methods nor stops the run."""

import faulthandler
import random
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from bench.machine.surroundings import Surroundings, own_output
from episodes.errors import UserError, in_words

REPEATED = 1.0
"""Seconds between attempts to stop a method that does not end at its time limit."""
PATIENCE = 60.0
"""Seconds beyond its limit after which a method that cannot be stopped ends the process."""
NAMED = 3
"""Number of changes that a message names."""


class _TimeLimitError(BaseException):
    """Not an `Exception`, so that methods which catch those are stopped too."""


@contextmanager
def contained(method: str, seed: int, seconds: float | None = None) -> Iterator[None]:
    """Turn any failure of a method in the block into one error, and restore the process.

    Global random generators are seeded in the block and restored after it. What the method prints
    goes to stderr. Nothing can contain a method that ends the process natively (`os._exit`, a
    crash).

    Args:
        method: name of the method, for messages.
        seed: seed of all global generators.
        seconds: time limit, if there is one.

    Raises:
        UserError: the method raised an error, exited, took too long, or changed global state.
    """
    before = Surroundings()
    try:
        with (
            warnings.catch_warnings(),
            torch.random.fork_rng(),
            own_output(),
            _limited(method, seconds),
        ):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    except BaseException as error:
        described = _described(error)
        traceback.clear_frames(error.__traceback__)  # frees its memory and closes its files
        if isinstance(error, UserError | KeyboardInterrupt):
            raise
        raise UserError(f"method {method} failed: {described}") from error
    finally:
        changed = before.put_back()
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise UserError(
            f"method {method} changed {', '.join(changed[:NAMED])}{more} for the whole process, and"
            " so for every other method; it has been restored: correct the method"
        )


@contextmanager
def _limited(method: str, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        raise UserError("--time-limit needs POSIX signals and the main thread; leave it out here")

    def stop(_: int, frame: FrameType | None) -> None:
        callers = (caller.f_code.co_filename for caller, _ in traceback.walk_stack(frame))
        # An interrupted import would leave a module half-loaded.
        if not any("<frozen importlib" in file for file in callers):
            raise _TimeLimitError

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEATED)
        # Prints where the method hangs, even in native code, and ends the process.
        with suppress(OSError, ValueError):
            faulthandler.dump_traceback_later(seconds + PATIENCE, exit=True, file=2)
        yield
    except _TimeLimitError as error:
        raise UserError(
            f"method {method} took longer than {seconds:g} s; raise --time-limit, or leave it out"
        ) from error
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _described(error: BaseException) -> str:
    """Describe an error, and its place in the method's own code, in one line."""
    description = in_words(error)
    harness = Path(__file__).parents[2]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        inside = path.is_relative_to(harness / "bench") or "site-packages" in path.parts
        if path.is_file() and not inside:
            return f"{description} ({path.name}, line {frame.lineno})"
    return description
