"""Verdicts: is a run worse than its baseline, method by method?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.comparison.gate.drift import differences, not_comparable, speeds_compare
from bench.runs.by_method import MethodRuns, runs_by_method
from bench.runs.run import Run
from bench.statistics import LEVEL, Estimate, holm, over_episodes, with_trainings
from episodes.errors import UserError

Outcome = Literal["ok", "WORSE", "undecided", "new"]
"""ok: the whole interval of the loss lies within the tolerated drop. WORSE: all of it lies beyond,
and the loss is significant after Holm's correction for all methods; or the speed has dropped by
more than is tolerated. undecided: neither, or nothing could be compared. new: the baseline does not
have the method."""
ROUNDING = 1e-9
"""A loss of exactly the tolerated drop is tolerated, whatever the rounding."""
MOST = 10**7
"""The largest number of episodes that a message gives."""
Key = tuple[str, str]
"""Name of a method with its training, and name of its bank."""
Since = Literal["the baseline", "the anchor"]
ONCE = "what another training would give is unknown; train with several seeds on both sides"


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
        """Refuse values out of range.

        Raises:
            UserError: naming the value and its range.
        """
        for name, value in (("drop", self.drop), ("throughput-drop", self.throughput_drop)):
            if not 0 <= value < 1:
                raise UserError(f"--{name} is {value}; it is a fraction from 0 to below 1")
        if not 0 < self.level < 1:
            raise UserError(f"--level is {self.level}; it lies between 0 and 1")


@dataclass(frozen=True)
class Change:
    """A paired difference to an older run, and what it amounts to."""

    difference: float
    """Accuracy now minus accuracy before, a fraction."""
    interval: tuple[float, float]
    outcome: Outcome
    episodes_to_decide: int | None
    """Number that would decide if the difference stayed as it is; None where it is decided."""


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a method."""

    method: str
    """Its name, with its training where there is one."""
    bank: str
    outcome: Outcome
    reason: str
    """Why; empty where the figures say it all."""
    revision_before: int | None = None
    revision: int | None = None
    episodes: int = 0
    accuracy_before: float = math.nan
    accuracy: float = math.nan
    answers_changed: float = math.nan
    """Fraction of queries that are answered differently, after the first training."""
    since_baseline: Change | None = None
    since_anchor: Change | None = None
    """From the first run that was ever accepted; None if that is still the baseline."""
    drift: tuple[str, ...] = ()
    """Fields of identity that differ from the baseline's: name, value there, value here."""
    code: tuple[str, ...] = ()
    """The same for code and revisions, which may change."""
    speed: float = math.nan
    """Scoring speed now divided by speed before."""
    speed_judged: bool = False
    """Whether both ran on the same machine and were timed for long enough."""


def judge(
    baseline: Sequence[Run],
    runs: Sequence[Run],
    tolerance: Tolerance | None = None,
    anchor: Sequence[Run] = (),
    allow_drift: bool = False,
) -> list[Verdict]:
    """Compare every method of a run with its baseline, episode by episode.

    A method is ok if the lower end of the interval on the paired difference is above the tolerated
    drop. It is WORSE if the upper end is below it and the loss itself is significant after Holm's
    correction for all methods: whatever their number, an unchanged method is called WORSE in at
    most 5% of runs. The interval is over episodes: bank and videos are the same, and the question
    is whether this code does worse on them, not how it would do on others. Where weights differ
    from the baseline's, trainings vary too.

    Args:
        baseline: the old runs.
        runs: the new ones.
        tolerance: what they may lose; half a point if None.
        anchor: the runs that were accepted first. Small losses add up while the baseline moves, so
            the difference from the anchor is judged as well.
        allow_drift: compare although settings, weights, features or videos differ.

    Returns:
        a verdict for each method of the baseline, in its order, then one for each new method.

    Raises:
        UserError: a method occurs twice on a side.
    """
    allowed = tolerance or Tolerance()
    before, after = _named(baseline, "the baseline"), _named(runs, "the run")
    first = _named(anchor, "the anchor")
    new = dict(after)
    compared: list[tuple[Verdict, dict[Since, Estimate]]] = []
    for key, old in before.items():
        # A run of the same name on the same bank, or else one on a bank without a baseline.
        others = (other for other in after if other[0] == key[0] and other not in before)
        partner = key if key in after else next(others, None)
        if partner is not None:
            new.pop(partner, None)
            compared.append(_compared(old, after[partner], first.get(key), allow_drift))
            continue
        missing = Verdict(
            *key,
            outcome="undecided",
            reason="missing: the run does not have it; run it too, name --methods, or take it out"
            " of the baseline",
            revision_before=old.first.identity.revision,
            accuracy_before=float(old.episode_accuracy().mean()),
        )
        compared.append((missing, {}))
    # The probability of a gain is the one-sided p-value of there being no loss.
    gains = [one.probability_positive for _, estimates in compared for one in estimates.values()]
    p_values = iter(holm(gains))
    verdicts = []
    for verdict, estimates in compared:
        changes = {
            since: change(one, verdict.episodes, next(p_values), allowed)
            for since, one in estimates.items()
        }
        verdicts.append(_decided(verdict, changes, allowed) if changes else verdict)
    return verdicts + [
        Verdict(
            *key,
            outcome="new",
            reason="the baseline does not have it; --accept takes it in",
            revision=one.first.identity.revision,
            episodes=one.first.identity.episodes,
            accuracy=float(one.episode_accuracy().mean()),
        )
        for key, one in new.items()
    ]


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """Return 1 if a method is worse, else 2 if one is undecided or none is ok, else 0."""
    outcomes = {one.outcome for one in verdicts}
    if "WORSE" in outcomes:
        return 1
    return 2 if "undecided" in outcomes or "ok" not in outcomes else 0


def name_of(one: MethodRuns) -> str:
    """Name a method, with its training if it was trained."""
    return f"{one.method} ({one.trained.partition(',')[0]})" if one.seeds else one.method


def change(difference: Estimate, episodes: int, p_value: float, allowed: Tolerance) -> Change:
    """Judge a paired difference.

    Args:
        difference: accuracy now minus before, over episodes; over trainings too if they differ.
        episodes: their number.
        p_value: of no loss, corrected for the number of methods.
        allowed: what may be lost.
    """
    low, high = difference.interval(allowed.level)
    outcome: Outcome = "undecided"
    if low >= -allowed.drop - ROUNDING:
        outcome = "ok"
    elif high < -allowed.drop - ROUNDING and p_value < 1 - allowed.level:
        outcome = "WORSE"
    more = _episodes_to_decide(difference, episodes, allowed) if outcome == "undecided" else None
    return Change(difference.mean, (low, high), outcome, more)


def _episodes_to_decide(difference: Estimate, episodes: int, allowed: Tolerance) -> int:
    """Number of episodes with which the interval of this difference excludes the drop."""
    half = difference.half_width(allowed.level)
    away = abs(difference.mean + allowed.drop)
    if away * MOST**0.5 < half * episodes**0.5:
        return MOST
    return max(math.ceil(episodes * (half / away) ** 2), episodes + 1)


def _compared(
    before: MethodRuns, after: MethodRuns, anchor: MethodRuns | None, allow_drift: bool
) -> tuple[Verdict, dict[Since, Estimate]]:
    """Compare a method with its baseline and its anchor.

    Returns:
        a verdict, undecided as yet, and the differences to decide on; none where nothing can be
        compared, for the verdict's reason.
    """
    old, new = before.first, after.first
    drift, code = differences(before, after)
    verdict = Verdict(
        *_key(before),
        outcome="undecided",
        reason=not_comparable(before, after),
        revision_before=old.identity.revision,
        revision=new.identity.revision,
        accuracy_before=float(before.episode_accuracy().mean()),
        accuracy=float(after.episode_accuracy().mean()),
        drift=drift,
        code=code,
    )
    if drift and not verdict.reason and not allow_drift:
        reason = "drift: see below; --allow-drift compares nevertheless"
        verdict = replace(verdict, reason=reason)
    if verdict.reason:
        return verdict, {}
    reason = ""
    estimates: dict[Since, Estimate] = {}
    older: dict[Since, MethodRuns | None] = {"the baseline": before, "the anchor": anchor}
    for since, one in older.items():
        if one is None:
            continue
        if not_comparable(one, after):
            reason = "not compared with the anchor, of other episodes or another dtype"
        elif (estimate := _difference(one, after)) is None:
            return replace(verdict, reason=f"trained anew since {since}: {ONCE}"), {}
        else:
            estimates[since] = estimate
    speed, old_speed = (run.cost.score_episodes_per_s for run in (new, old))
    known = replace(
        verdict,
        reason=reason,
        episodes=new.identity.episodes,
        answers_changed=float((old.rows["prediction"] != new.rows["prediction"]).mean()),
        speed=speed / old_speed if old_speed else math.nan,
        speed_judged=speeds_compare(old, new),
    )
    return known, estimates


def _difference(before: MethodRuns, after: MethodRuns) -> Estimate | None:
    """The paired difference; over trainings too, if they differ; None if there was only one."""
    found = over_episodes(after.episode_accuracy() - before.episode_accuracy())
    trained = [one.trainings for one in (before, after) if one.trainings is not None]
    old, new = (
        [(run.identity.training, run.identity.weights_sha256) for run in one.runs]
        for one in (before, after)
    )
    if not trained or old == new:
        return found
    return with_trainings(found, trained)


def _decided(verdict: Verdict, changes: Mapping[Since, Change], allowed: Tolerance) -> Verdict:
    """Decide on a method by its differences and its speed; the worst of them counts."""

    def first(outcome: Outcome) -> Since | None:
        return next((since for since, one in changes.items() if one.outcome == outcome), None)

    outcome: Outcome = "ok"
    reason = ""
    if since := first("WORSE"):
        outcome, reason = "WORSE", "" if since == "the baseline" else f"since {since}"
    elif verdict.speed_judged and verdict.speed < 1 - allowed.throughput_drop:
        outcome = "WORSE"
        reason = f"scores {verdict.speed:.0%} of the episodes per second that it did"
    elif since := first("undecided"):
        more = changes[since].episodes_to_decide or MOST
        outcome, reason = "undecided", f"about {more:,} episodes would decide"
        if more >= MOST:
            reason = "no number of episodes would decide: the difference is what is tolerated"
        if since != "the baseline":
            reason = f"since {since}: {reason}"
    return replace(
        verdict,
        outcome=outcome,
        reason="; ".join(filter(None, (reason, verdict.reason))),
        since_baseline=changes["the baseline"],
        since_anchor=changes.get("the anchor"),
    )


def _key(one: MethodRuns) -> Key:
    return name_of(one), one.first.identity.bank


def _named(runs: Sequence[Run], where: str) -> dict[Key, MethodRuns]:
    """Group runs by training seed, and name each group."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.identity.method, run.identity.bank), []).append(run)
    named: dict[Key, MethodRuns] = {}
    for one in (one for group in groups.values() for one in runs_by_method(group)):
        name, bank = _key(one)
        if (name, bank) in named:
            raise UserError(
                f"{where} holds two runs of {name} on bank {bank}; name the folder of one"
            )
        named[name, bank] = one
    return named
