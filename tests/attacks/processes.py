"""Commands in processes of their own that need no start: forks of one that has it all loaded.

So hundreds of commands can be killed, starved or run beside one another in minutes.
"""

import contextlib
import ctypes
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

import bench
import episodes
from bench.__main__ import app
from bench.plugins.registry import built_in_methods, import_reproductions
from tests.attacks.outcomes import Outcome

PATIENCE = 300.0
"""Seconds after which a command that nobody stops is taken to hang."""
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Command:
    """A command that runs, or ran."""

    process: int
    log: Path
    status: int | None = None

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Wait for its end; return its exit status, negative for a signal, None if it goes on."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            found, status = os.waitpid(self.process, os.WNOHANG)
            if found:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(0.005)
        return self.status

    def kill(self) -> bool:
        """Kill it without warning; say whether it still ran."""
        if self.wait(0.0) is not None:
            return False
        os.kill(self.process, signal.SIGKILL)
        self.wait()
        return True

    def said(self) -> str:
        """All that it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def left_behind(self, seconds: float = 20.0) -> bool:
        """Whether processes that it started live on; they are ended then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-self.process, os.WNOHANG)[0]:
                    pass
            try:
                os.killpg(self.process, 0)
            except ProcessLookupError:
                return False
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        return True

    def outcome(self) -> tuple[Outcome, str]:
        """What its end is worth, if its results are not looked at."""
        status, said = self.wait(), self.said()
        if status is None:
            self.kill()
            return "hang", said[-500:]
        if status in {1, 2} and "Traceback" not in said:
            return "named", said
        if status == 0 and "Traceback" not in said:
            return "harmless", said
        return "traceback", f"status {status}: {said[-800:]}"


def prepare() -> None:
    """Load what commands need, once, and adopt the processes of commands that are killed."""
    load_all()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def load_all() -> None:
    """Load the whole program, whose commands load what they need otherwise."""
    torch.set_num_threads(1)
    built_in_methods()
    import_reproductions()
    for package in (bench, episodes):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                import_module(found.name)  # a command that gave its rights away may read none


def start(
    words: Sequence[object],
    log: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Command:
    """Begin ``fvbench`` with these words; ``before`` runs in its process first."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return Command(process, log)
    status = 70
    try:
        os.setsid()
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(target, 1)
        os.dup2(target, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - of pytest
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - before
        os.environ.pop("FVBENCH_TRACEBACK", None)
        os.environ.update(environment or {})
        before()
        sys.argv = ["fvbench", *map(str, words)]
        app(sys.argv[1:])
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run(
    words: Sequence[object],
    log: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Command:
    """Run ``fvbench`` to its end, or until patience ends."""
    command = start(words, log, environment, before)
    command.wait()
    return command
