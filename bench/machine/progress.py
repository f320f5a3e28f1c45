"""Progress on stderr: a bar on a terminal, occasional plain lines elsewhere."""

import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from episodes.errors import shown
from episodes.split import Progress as Report

SECONDS_BETWEEN_LINES = 20


def duration(seconds: float) -> str:
    """Write a duration in words, to at most two digits.

    >>> [duration(seconds) for seconds in (0.3, 9.4, 71, 200, 5400, 90_000, float("nan"))]
    ['1 s', '9 s', '71 s', '3 min', '1.5 h', '25 h', 'unknown time']
    """
    if math.isnan(seconds):
        return "unknown time"
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h"


class Reporter:
    """Reports the progress of a run to a person."""

    def __init__(self, expected: Mapping[str, Sequence[float]] | None = None) -> None:
        """Report on stderr, where results never go.

        Args:
            expected: expected seconds of the stages, by title, in order; with them, reports state
                the time left for all stages.
        """
        self._console = Console(stderr=True)
        self._note = ""
        self._expected = {title: list(times) for title, times in (expected or {}).items()}

    def note(self, text: str) -> None:
        """Set a remark on the current stage, which its next reports show."""
        self._note = text

    def say(self, line: str) -> None:
        """Print a line that stays, in the first process of a job only."""
        if os.environ.get("RANK", "0") == "0":
            print(shown(line), file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        """Yield a function to call with (done, total) as the stage proceeds.

        A stage without a call reports nothing, nor does any process but the first of a job.
        """
        if os.environ.get("RANK", "0") != "0":
            yield lambda done, total: None
            return
        self._note = ""
        if times := self._expected.get(title):
            times.pop(0)
        with self._bar(title) if self._console.is_terminal else self._lines(title) as report:
            yield report

    def _left(self, here: float) -> str:
        """State the time left for all stages, given the seconds left for this one."""
        later = sum(map(sum, self._expected.values()))
        return f"; about {duration(here + later)} left in all" if later else ""

    @contextmanager
    def _bar(self, title: str) -> Iterator[Report]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=None)
            start = time.monotonic()

            def report(done: int, total: int) -> None:
                here = (time.monotonic() - start) * (total - done) / max(done, 1)
                words = f"{title} {self._note}{self._left(here)}"
                progress.update(task, completed=done, total=total, description=words)

            yield report

    @contextmanager
    def _lines(self, title: str) -> Iterator[Report]:
        start = last = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if done >= total or now - last > SECONDS_BETWEEN_LINES:
                last = now
                left = (now - start) * (total - done) / max(done, 1)
                rest = f", about {left:,.0f} s left" if 0 < done < total else ""
                line = f"{title}: {done:,} of {total:,} in {now - start:.1f} s{rest} {self._note}"
                print(line.rstrip() + self._left(left), file=sys.stderr, flush=True)  # noqa: T201

        yield report
