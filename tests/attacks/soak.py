"""Many runs in one process: neither memory nor open files grow."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.outcomes import Tally
from tests.attacks.places import make_place
from tests.command import call

LARGE = 200
SETTLED = 0.25
"""Of the runs, after which what is cached for good is cached."""
GROWTH = 0.05


def main(runs: int) -> Iterator[Tally]:
    """Run again and again; the second half may hold no more than the first."""
    tally = Tally("soak: runs in one process")
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        place = make_place(Path(name))
        for variable, value in place.environment.items():
            patch.setenv(variable, value)
        words = ("run", "--data", place.videos, "--episodes", 20, "--methods", "protonet,otam,trx")
        known: list[tuple[int, int]] = []
        for number in range(runs):
            out = place.folder / "out"
            status, said = call(*words, "--out", out)
            shutil.rmtree(out)
            if status:
                tally.add("wrong", f"run {number}: {said[-300:]}")
            known.append(_held())
            tally.add("harmless")
        settled = known[round(SETTLED * runs)]
        for what, before, after in zip(("KiB", "open files"), settled, known[-1], strict=True):
            said = f"{what}: {before:,} after {SETTLED:.0%} of {runs} runs, {after:,} after all"
            tally.name += f"; {said}"
            if after > (1 + GROWTH) * before:
                tally.add("wrong", said)
    yield tally


def _held() -> tuple[int, int]:
    """Memory of this process in KiB, and how many files it has open."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024, len([*Path("/proc/self/fd").iterdir()])
