"""Verdicts: is a run worse than its baseline, method by method?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.contenders import Contender
from bench.run_directory import Run
from bench.statistics import LEVEL, Estimate, over_episodes
from episodes.errors import UserError

Outcome = Literal["ok", "WORSE", "SLOWER", "missing", "not compared", "new"]
FAILURES: frozenset[Outcome] = frozenset({"WORSE", "SLOWER"})
NOT_MEASURED: frozenset[Outcome] = frozenset({"missing", "not compared"})
MUST_AGREE = ("bank", "episodes", "bank_sha256", "dtype")
"""Fields of identity without which there is nothing to compare."""
MACHINE = ("computer", "device", "machine", "threads")
"""Circumstances that make speeds comparable, where all are known and the same."""
Key = tuple[str, str]
"""Name of a run and of its bank."""
LEAST_SECONDS = 1.0
"""A speed that was timed for less is not judged."""


@dataclass(frozen=True)
class Tolerance:
    """What a run may lose."""

    drop: float = 0.005
    """Mean accuracy, a fraction: half a point."""
    level: float = LEVEL
    """Coverage of the interval on the paired difference."""
    throughput_drop: float = 0.2
    """Scoring speed, a fraction, on the same machine and device."""

    def __post_init__(self) -> None:
        """Refuse what no tolerance can be.

        Raises:
            UserError: a value out of range.
        """
        for name, value in (("drop", self.drop), ("throughput-drop", self.throughput_drop)):
            if not 0 <= value < 1:
                raise UserError(f"--{name} is {value}; it is a fraction from 0 to below 1")
        if not 0 < self.level < 1:
            raise UserError(f"--level is {self.level}; it lies between 0 and 1")


@dataclass(frozen=True)
class Verdict:
    """What became of one method."""

    method: str
    """Its name, with its training and seed where there are some."""
    bank: str
    outcome: Outcome
    reason: str
    """Why, in words; empty where the figures say all."""
    revision_before: int | None = None
    revision: int | None = None
    episodes: int = 0
    accuracy_before: float = math.nan
    accuracy: float = math.nan
    difference: float = math.nan
    """Accuracy now minus accuracy before, a fraction."""
    interval: tuple[float, float] = (math.nan, math.nan)
    """Of the difference, over episodes, paired."""
    speed: float = math.nan
    """Scoring speed now divided by speed before."""
    speed_judged: bool = False
    """Whether it was the same machine, and timed for long enough."""


def judge(
    baseline: Sequence[Run], runs: Sequence[Run], tolerance: Tolerance | None = None
) -> list[Verdict]:
    """Compare every run with its baseline, episode by episode.

    A method is worse if its mean loss is above the tolerated drop and the interval on the paired
    difference leaves zero out. The interval is over episodes: bank and videos are the same, and
    the question is whether this code does worse on them, not how it would do on others.

    Args:
        baseline: what is compared with.
        runs: the new ones.
        tolerance: what they may lose; half a point if None.

    Returns:
        a verdict for each method of either side, in the order of the baseline.

    Raises:
        UserError: a method occurs twice on a side.
    """
    allowed = tolerance or Tolerance()
    before, after = _named(baseline, "the baseline"), _named(runs, "the run")
    partners = {key: _partner(key, before, after) for key in before}
    verdicts = [
        _missing(key, run) if (partner := partners[key]) is None else _judged(run, partner, allowed)
        for key, run in before.items()
    ]
    matched = {id(partner) for partner in partners.values()}
    return verdicts + [_new(run) for run in after.values() if id(run) not in matched]


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """Return 1 if a method is worse or slower, else 2 if one was not compared or none, else 0."""
    outcomes = {one.outcome for one in verdicts}
    if outcomes & FAILURES:
        return 1
    return 2 if outcomes & NOT_MEASURED or "ok" not in outcomes else 0


def name_of(run: Run) -> str:
    """Name a run: its method, with how it was trained and from which seed where it was."""
    one = Contender([run])
    words = [one.trained] if one.training is not None else []
    words += [f"seed {seed}" for seed in one.seeds]
    return f"{one.method} ({', '.join(words)})" if words else one.method


def _named(runs: Sequence[Run], where: str) -> dict[Key, Run]:
    found: dict[Key, Run] = {}
    for run in runs:
        key = name_of(run), str(run.identity["bank"])
        if key in found:
            raise UserError(
                f"{where} holds two runs of {key[0]} on bank {key[1]}; name the folder of one"
            )
        found[key] = run
    return found


def _partner(key: Key, before: Mapping[Key, Run], after: Mapping[Key, Run]) -> Run | None:
    """The run of the same name on the same bank, or else one on a bank without a baseline."""
    if key in after:
        return after[key]
    others = [run for other, run in after.items() if other[0] == key[0] and other not in before]
    return others[0] if others else None


def _missing(key: Key, before: Run) -> Verdict:
    return Verdict(
        *key,
        outcome="missing",
        reason="the run does not have it; run it too, or take it out of the baseline",
        revision_before=before.identity["revision"],
        accuracy_before=float(before.episode_accuracy().mean()),
    )


def _new(run: Run) -> Verdict:
    return Verdict(
        name_of(run),
        run.identity["bank"],
        outcome="new",
        reason="the baseline does not have it; --accept takes it in",
        revision=run.identity["revision"],
        episodes=run.identity["episodes"],
        accuracy=float(run.episode_accuracy().mean()),
    )


def _judged(before: Run, after: Run, allowed: Tolerance) -> Verdict:
    figures = {
        "method": name_of(before),
        "bank": before.identity["bank"],
        "revision_before": before.identity["revision"],
        "revision": after.identity["revision"],
    }
    if reason := _not_comparable(before, after):
        return Verdict(**figures, outcome="not compared", reason=reason)
    one, other = before.episode_accuracy(), after.episode_accuracy()
    difference = over_episodes(other - one)
    speed = after.cost.score_episodes_per_s / before.cost.score_episodes_per_s
    judged = _speed_tells(before, after)
    outcome, reason = _outcome(difference, speed if judged else math.nan, allowed)
    return Verdict(
        **figures,
        outcome=outcome,
        reason=reason,
        episodes=len(one),
        accuracy_before=float(one.mean()),
        accuracy=float(other.mean()),
        difference=difference.mean,
        interval=difference.interval(allowed.level),
        speed=speed,
        speed_judged=judged,
    )


def _outcome(difference: Estimate, speed: float, allowed: Tolerance) -> tuple[Outcome, str]:
    """The verdict, and its reason where the accuracy does not say it."""
    _, high = difference.interval(allowed.level)
    # Rounding must not turn a loss of exactly what is tolerated into one above it.
    if -difference.mean > allowed.drop + 1e-9 and high < 0:
        return "WORSE", ""
    if speed < 1 - allowed.throughput_drop:
        return "SLOWER", f"scores {speed:.0%} of the episodes per second that it did"
    return "ok", ""


def _not_comparable(before: Run, after: Run) -> str:
    """Which field of identity forbids a comparison, with both values; empty if none."""
    for field in MUST_AGREE:
        one, other = before.identity[field], after.identity[field]
        if one != other:
            return f"{field} is {one!s:.12} in the baseline and {other!s:.12} in the run"
    if before.identity["episodes"] < 2:
        return "a single episode has no interval"
    return ""


def _speed_tells(before: Run, after: Run) -> bool:
    """Whether both ran on the same known machine and device, and were timed for long enough."""
    machines = [[run.circumstances.get(field) for field in MACHINE] for run in (before, after)]
    if machines[0] != machines[1] or None in machines[0]:
        return False
    seconds = [run.identity["episodes"] / run.cost.score_episodes_per_s for run in (before, after)]
    return bool(min(seconds) >= LEAST_SECONDS)
