"""A method that fails, and what it must not do to the others: whatever it does, the run goes on."""

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
"""Seconds after which a method that does not stop at its time limit is stopped again."""
PATIENCE = 60.0
"""Seconds beyond its limit after which a method that cannot be stopped ends the process."""
NAMED = 3
"""Changes that a message names."""


class _TimeLimitError(BaseException):
    """Not an `Exception`: a method that catches those is stopped all the same."""


@contextmanager
def contained(method: str, seed: int, seconds: float | None = None) -> Iterator[None]:
    """Turn whatever a method does in the block into one error, and undo what it did to the process.

    Random numbers that it draws there begin with ``seed``, and the caller's go on as if it had
    drawn none. What it prints goes to stderr. A method that ends the process from within a library
    (`os._exit`, a crash) ends it.

    Args:
        method: its name.
        seed: of all global generators.
        seconds: how long it may take; without end if None.

    Raises:
        UserError: the method raised something, exited, took too long, or left the process changed.
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
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        described = _described(error)
        traceback.clear_frames(error.__traceback__)  # files that it opened, memory that it took
        raise UserError(f"method {method} failed: {described}") from error
    finally:
        changed = before.put_back()
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise UserError(
            f"method {method} changed {', '.join(changed[:NAMED])}{more} for the whole process, and"
            " so for every other method; it has been put back: mend the method"
        )


@contextmanager
def _limited(method: str, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        raise UserError("--time-limit needs POSIX signals and the main thread; leave it out here")

    def stop(_: int, frame: FrameType | None) -> None:
        if not _importing(frame):
            raise _TimeLimitError

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEATED)
        # Says where, in the method's own code; nothing that is written in Python can do as much.
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


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, which would be left half-loaded."""
    return any(
        "<frozen importlib" in one.f_code.co_filename for one, _ in traceback.walk_stack(frame)
    )


def _described(error: BaseException) -> str:
    """What was raised and where in the method's own code, in one line."""
    said = in_words(error)
    harness = Path(__file__).parents[2]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        inside = path.is_relative_to(harness / "bench") or "site-packages" in path.parts
        if path.is_file() and not inside:
            return f"{said} ({path.name}, line {frame.lineno})"
    return said
