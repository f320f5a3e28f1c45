"""Commands that are killed at any moment, again and again: the same command then ends as if not.

Each chain starts in an empty place and kills what it starts after a random time, until something
gets done between two kills or so many are spent; then it lets the command end, and compares.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.outcomes import Tally
from tests.attacks.places import Place, content, leftovers, make_place
from tests.attacks.processes import Command, prepare, run, start

LARGE = 200
IN_A_CHAIN = 6
"""Kills before a command is left alone."""
Words = tuple[object, ...]


@dataclass(frozen=True)
class Job:
    """A command, and what it needs to have been done before."""

    name: str
    words: Callable[[Place, Path], Words]
    """From a place and where the results go."""
    warm: bool = False
    """Whether features are there already."""
    share: float = 1.0
    """Of all kills, relative to other jobs."""


def _own(*words: object) -> Callable[[Place, Path], Words]:
    return lambda place, out: (
        *("run", "--data", place.videos, "--episodes", 20, "--no-report", "--out", out),
        *words,
    )


METHODS = ("--methods", "chance,protonet,otam,trx,matching-networks")
TRAIN = ("mastaf", "--freeze-backbone", "--seeds", "0")
JOBS = (
    Job("decode and embed", _own("--methods", "protonet,otam")),
    Job("evaluate", _own(*METHODS), warm=True),
    Job(
        "render",
        lambda _, out: (
            *("run", "--methods", "protonet", "--episodes", 1, "--no-report", "--out", out),
        ),
    ),
    Job(
        "train",
        lambda place, out: ("train", *TRAIN, "--recipe", place.recipe, "--out", out),
        warm=True,
        share=1.5,
    ),
    Job(
        "report",
        lambda place, out: ("report", place.folder / "evaluate", "--out", out / "report.html"),
        warm=True,
        share=0.5,
    ),
)


def main(kills: int) -> Iterator[Tally]:
    """Kill every job its share of times."""
    prepare()
    total = sum(job.share for job in JOBS)
    with tempfile.TemporaryDirectory() as name:
        place = make_place(Path(name))
        for job in JOBS:
            yield attack(job, place, max(1, round(kills * job.share / total)))


def attack(job: Job, place: Place, kills: int, seed: int = 0) -> Tally:
    """Kill a job so many times, in chains; the count is of kills."""
    tally = Tally(f"killed: {job.name}")
    draw = random.Random(f"{job.name} {seed}")  # noqa: S311 - it chooses moments
    expected, seconds = _undisturbed(job, place)
    while tally.counts.total() < kills:
        chain = min(IN_A_CHAIN, kills - tally.counts.total())
        _chain(job, place, chain, expected, seconds, draw, tally)
    return tally


def _undisturbed(job: Job, place: Place) -> tuple[dict[str, str], float]:
    """What the job makes, and how long it takes."""
    for evaluated in (one for one in JOBS if one.name == "evaluate" and job.name == "report"):
        _must(run(evaluated.words(place, place.folder / "evaluate"), *_log(place)))
    if job.warm:
        _must(run(job.words(place, place.folder / "warming"), *_log(place)))
        shutil.rmtree(place.folder / "warming")
    out, before = place.folder / "undisturbed", time.monotonic()
    if not job.warm:
        shutil.rmtree(place.cache, ignore_errors=True)
    _must(run(job.words(place, out), *_log(place)))
    seconds, made = time.monotonic() - before, content(out)
    shutil.rmtree(out)
    return made, seconds


def _log(place: Place) -> tuple[Path, object]:
    return place.folder / "log", place.environment


def _must(command: Command) -> None:
    outcome, said = command.outcome()
    if outcome != "harmless":
        raise RuntimeError(f"undisturbed, the command ends so: {said}")


def _chain(
    job: Job,
    place: Place,
    kills: int,
    expected: dict[str, str],
    seconds: float,
    draw: random.Random,
    tally: Tally,
) -> None:
    out = place.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    if not job.warm:
        shutil.rmtree(place.cache, ignore_errors=True)
    killed, behind = 0, 0
    for _ in range(kills):
        command = start(job.words(place, out), *_log(place))
        time.sleep(draw.uniform(0.0, seconds))
        killed += command.kill()
        behind += command.left_behind()
    last = run(job.words(place, out), *_log(place))
    outcome, said = last.outcome()
    if outcome != "harmless":
        tally.add("wrong" if outcome == "named" else outcome, said[-500:])
    elif content(out) != expected or leftovers(out):
        tally.add("wrong", f"{content(out)} is not {expected}; {leftovers(out)}")
    elif behind:
        tally.add("hang", f"{behind} of {kills} left processes behind")
    else:
        tally.add("harmless")
    tally.counts["harmless"] += max(killed, 1) - 1
