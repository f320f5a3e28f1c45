"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Iterator
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


class Reporter:
    """Tells a person how far a run is."""

    def __init__(self) -> None:
        """Report on stderr, where figures never go."""
        self._console = Console(stderr=True)
        self._note = ""

    def note(self, text: str) -> None:
        """Say something about the stage that goes on; it is shown with the next report."""
        self._note = text

    def say(self, line: str) -> None:
        """Say something for good, in a line; the first process of a job alone does."""
        if os.environ.get("RANK", "0") == "0":
            print(shown(line), file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        """Yield a function to be called with (done, total) as a stage goes on.

        A stage in which nothing is done says nothing; neither does any process but the first of
        a job.
        """
        if os.environ.get("RANK", "0") != "0":
            yield lambda done, total: None
            return
        self._note = ""
        with self._bar(title) if self._console.is_terminal else self._lines(title) as report:
            yield report

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
            yield lambda done, total: progress.update(
                task, completed=done, total=total, description=f"{title} {self._note}"
            )

    @contextmanager
    def _lines(self, title: str) -> Iterator[Report]:
        start = said = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal said
            now = time.monotonic()
            if done >= total or now - said > SECONDS_BETWEEN_LINES:
                said = now
                left = (now - start) * (total - done) / max(done, 1)
                rest = f", about {left:,.0f} s left" if 0 < done < total else ""
                line = f"{title}: {done:,} of {total:,} in {now - start:.1f} s{rest} {self._note}"
                print(line.rstrip(), file=sys.stderr, flush=True)  # noqa: T201

        yield report
