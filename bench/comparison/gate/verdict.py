"""Verdicts: is a run worse than its baseline, method by method?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.comparison.gate.drift import changed_code, drift, not_comparable, speeds_compare
from bench.runs.by_method import MethodRuns, runs_by_method
from bench.runs.run import Run
from bench.statistics import LEVEL, Estimate, holm, over_episodes, with_trainings
from episodes.errors import UserError

Outcome = Literal["ok", "WORSE", "undecided", "new"]
"""ok: the loss is significantly below the tolerated drop. WORSE: it is significantly above.
undecided: neither, or nothing could be compared. new: the baseline does not have the method."""
ROUNDING = 1e-9
"""A loss of exactly the tolerated drop is tolerated, whatever the rounding."""
MOST = 10**7
"""The largest number of episodes that a message gives."""
Key = tuple[str, str]
"""Name of a method with its training, and name of its bank."""
Interval = tuple[float, float]
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
    interval: Interval
    outcome: Outcome
    episodes_to_decide: int | None
    """Number that would decide if the difference stays as it is; None where it is decided."""


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a method."""

    method: str
    """Its name, with its training where there is one."""
    bank: str
    outcome: Outcome
    reason: str
    """Why, in words; empty where the figures say it all."""
    revision_before: int | None = None
    revision: int | None = None
    episodes: int = 0
    accuracy_before: float = math.nan
    accuracy: float = math.nan
    answers_changed: float = math.nan
    """Fraction of queries that are answered differently, after the first training."""
    since_baseline: Change | None = None
    since_anchor: Change | None = None
    """Since the first run that was ever accepted; None if that is still the baseline."""
    drift: tuple[str, ...] = ()
    """Other differences from the baseline's run: field, value there, value here."""
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
        anchor: the runs that were accepted first. While the baseline moves, many small losses add
            up, so that the difference to the anchor is judged as well.
        allow_drift: compare although settings, weights, features or videos differ.

    Returns:
        a verdict for each method of either side, in the order of the baseline.

    Raises:
        UserError: a method occurs twice on a side.
    """
    allowed = tolerance or Tolerance()
    before, after = _named(baseline, "the baseline"), _named(runs, "the run")
    first = _named(anchor, "the anchor")
    partners = {key: _partner(key, before, after) for key in before}
    pairs = {
        key: _compared(before[key], partner, first.get(key), allow_drift)
        for key, partner in partners.items()
        if partner is not None
    }
    family = [(key, since) for key, pair in pairs.items() for since in pair.differences]
    # The probability of a gain is the one-sided p-value of there being no loss.
    corrected = holm([pairs[key].differences[since].probability_positive for key, since in family])
    p_values = dict(zip(family, corrected, strict=True))
    verdicts = []
    for key, one in before.items():
        if key in pairs:
            mine = {since: p_values[key, since] for since in pairs[key].differences}
            verdicts.append(pairs[key].verdict(allowed, mine))
        else:
            verdicts.append(_missing(key, one))
    matched = {id(partner) for partner in partners.values()}
    return verdicts + [_new(key, one) for key, one in after.items() if id(one) not in matched]


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """Return 1 if a method is worse, else 2 if one is undecided or none is ok, else 0."""
    outcomes = {one.outcome for one in verdicts}
    if "WORSE" in outcomes:
        return 1
    return 2 if "undecided" in outcomes or "ok" not in outcomes else 0


def name_of(run: Run) -> str:
    """Name the method of a run, with its training if it was trained."""
    return _name(MethodRuns([run]))


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


@dataclass(frozen=True)
class _Pair:
    """A method on both sides."""

    before: MethodRuns
    after: MethodRuns
    differences: Mapping[Since, Estimate]
    """Those that could be computed."""
    refused: str
    """Why nothing is decided; empty if something is."""
    passed_over: str = ""
    """Why there is no difference to the anchor, where there is an anchor."""

    def verdict(self, allowed: Tolerance, p_values: Mapping[Since, float]) -> Verdict:
        """Judge it, with the corrected p-value of each difference."""
        before, after = self.before.first, self.after.first
        known = Verdict(
            *_key(self.before),
            outcome="undecided",
            reason=self.refused,
            revision_before=before.identity.revision,
            revision=after.identity.revision,
            drift=drift(self.before, self.after),
            code=changed_code(self.before, self.after),
        )
        if "the baseline" not in self.differences:
            return known
        episodes = len(self.before.episode_accuracy())
        found = {
            since: change(one, episodes, p_values[since], allowed)
            for since, one in self.differences.items()
        }
        speed, old_speed = (run.cost.score_episodes_per_s for run in (after, before))
        judged = speeds_compare(before, after)
        ratio = speed / old_speed if old_speed else math.nan
        outcome, reason = _together(found, ratio if judged else math.nan, allowed)
        return replace(
            known,
            outcome=outcome,
            reason="; ".join(filter(None, (reason, self.passed_over))),
            episodes=episodes,
            accuracy_before=float(self.before.episode_accuracy().mean()),
            accuracy=float(self.after.episode_accuracy().mean()),
            answers_changed=float((before.rows["prediction"] != after.rows["prediction"]).mean()),
            since_baseline=found["the baseline"],
            since_anchor=found.get("the anchor"),
            speed=ratio,
            speed_judged=judged,
        )


def _compared(
    before: MethodRuns, after: MethodRuns, anchor: MethodRuns | None, allow_drift: bool
) -> _Pair:
    """Compute the differences of a method, or say why it cannot be compared."""
    refused = not_comparable(before, after)
    if not refused and not allow_drift and drift(before, after):
        refused = "drift: see below; --allow-drift compares nevertheless"
    if refused:
        return _Pair(before, after, {}, refused)
    found: dict[Since, Estimate] = {}
    passed_over = ""
    older: dict[Since, MethodRuns | None] = {"the baseline": before, "the anchor": anchor}
    for since, one in older.items():
        if one is None:
            continue
        if not_comparable(one, after):
            passed_over = "not compared with the anchor, of other episodes or another dtype"
        else:
            difference = _difference(one, after)
            if difference is None:
                return _Pair(before, after, {}, f"trained anew since {since}: {ONCE}")
            found[since] = difference
    return _Pair(before, after, found, "", passed_over)


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


def _together(
    found: Mapping[Since, Change], speed: float, allowed: Tolerance
) -> tuple[Outcome, str]:
    """The verdict of both differences and of the speed, and its reason."""
    for since, one in found.items():
        if one.outcome == "WORSE":
            return "WORSE", "" if since == "the baseline" else f"since {since}"
    if speed < 1 - allowed.throughput_drop:
        return "WORSE", f"scores {speed:.0%} of the episodes per second that it did"
    for since, one in found.items():
        if one.outcome == "undecided":
            where = "" if since == "the baseline" else f"since {since}: "
            return "undecided", where + _how_many(one)
    return "ok", ""


def _how_many(one: Change) -> str:
    if one.episodes_to_decide is None or one.episodes_to_decide >= MOST:
        return "no number of episodes would decide: the difference is what is tolerated"
    return f"about {one.episodes_to_decide:,} episodes would decide"


def _name(one: MethodRuns) -> str:
    return f"{one.method} ({one.trained.partition(',')[0]})" if one.seeds else one.method


def _key(one: MethodRuns) -> Key:
    return _name(one), one.first.identity.bank


def _named(runs: Sequence[Run], where: str) -> dict[Key, MethodRuns]:
    """Group runs by training seed, and name each group."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.identity.method, run.identity.bank), []).append(run)
    found: dict[Key, MethodRuns] = {}
    for one in (one for group in groups.values() for one in runs_by_method(group)):
        if _key(one) in found:
            raise UserError(
                f"{where} holds two runs of {_name(one)} on bank {_key(one)[1]}; name the folder"
                " of one"
            )
        found[_key(one)] = one
    return found


def _partner(
    key: Key, before: Mapping[Key, MethodRuns], after: Mapping[Key, MethodRuns]
) -> MethodRuns | None:
    """The run of the same name on the same bank, or else one on a bank without a baseline."""
    if key in after:
        return after[key]
    others = [one for other, one in after.items() if other[0] == key[0] and other not in before]
    return others[0] if others else None


def _missing(key: Key, before: MethodRuns) -> Verdict:
    return Verdict(
        *key,
        outcome="undecided",
        reason="missing: the run does not have it; run it too, name --methods, or take it out of"
        " the baseline",
        revision_before=before.first.identity.revision,
        accuracy_before=float(before.episode_accuracy().mean()),
    )


def _new(key: Key, one: MethodRuns) -> Verdict:
    return Verdict(
        *key,
        outcome="new",
        reason="the baseline does not have it; --accept takes it in",
        revision=one.first.identity.revision,
        episodes=one.first.identity.episodes,
        accuracy=float(one.episode_accuracy().mean()),
    )
