"""A row of a comparison: every figure of one method on one bank.

CSV, JSON and `bench.api` hold all fields of `Row`. A new figure of a method's runs is one more
field here; a column in `bench.comparison.frame` shows it in tables and in the report.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from bench.runs.by_method import MethodRuns
from bench.runs.schema import HowTrained, Speed
from bench.statistics import KINDS, Kind, Prediction

Interval = tuple[float, float]
Verdict = Literal["better", "worse", "undecided", "1 seed", "same answers", "control", "names", ""]
"""What a difference amounts to, after correction for the size of its family. "1 seed": a method
that was trained once is not judged against another trained one. "": no verdict is possible, or none
was asked for."""


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A paired difference between two methods, a fraction; None where there is none."""

    difference: float | None = None
    difference_interval: Interval | None = None
    """95%, over episodes."""
    difference_intervals: Mapping[Kind, Interval] | None = None
    """95%, by what varies."""
    difference_predictions: Mapping[Prediction, Interval] | None = None
    """95%, for the difference that another data set or training will give."""
    decided_over: Kind | None = None
    """The widest kind that both methods support; all fields below are over it."""
    p_value: float | None = None
    """P-value of no difference, by Student's t."""
    p_value_sign_flip: float | None = None
    """The same by flipping the sign of each class's contribution, without the variance of
    trainings."""
    p_value_corrected: float | None = None
    """``p_value``, corrected for the number of comparisons in the family: step-down max-T."""
    probability_better: float | None = None
    """Probability that the method is better when all of ``decided_over`` is drawn anew."""
    smallest: float | None = None
    """The smallest difference that would have been significant, where this one was not."""
    verdict: Verdict = ""
    dominated_by: str | None = None
    """Class, or pair of classes, that contributes more than half of the variance."""


@dataclass(frozen=True, kw_only=True)
class DeclaredComparison(Versus):
    """A comparison that was declared before the study was run."""

    method: str
    """Title of the first method; the second is subtracted from it."""
    against: str


def of_runs(value: Callable[[MethodRuns], Any]) -> dict[str, Any]:
    """Metadata of a field of `Row` that depends on the method's own runs alone."""
    return {"of": value}


def _deviation(one: MethodRuns) -> float | None:
    return None if (seeds := one.trainings) is None or len(seeds.means) < 2 else seeds.deviation


def _range(one: MethodRuns) -> Interval | None:
    means = () if one.trainings is None else one.trainings.means
    return None if len(means) < 2 else (min(means), max(means))


@dataclass(frozen=True, kw_only=True)
class Row(Versus):
    """A method's figures on one bank. Accuracies and differences are fractions.

    The difference is to the reference; the reference itself has none.
    """

    bank: str = field(metadata=of_runs(lambda one: one.first.identity.bank))
    method: str = field(metadata=of_runs(lambda one: one.method))
    revision: int = field(metadata=of_runs(lambda one: one.first.identity.revision))
    trained: bool | None = field(metadata=of_runs(lambda one: one.first.declared.trained))
    """None where there is nothing to train."""
    training: HowTrained | None = field(metadata=of_runs(lambda one: one.training))
    """Recipe, backbone and episodes of its training."""
    seeds: tuple[int, ...] = field(metadata=of_runs(lambda one: one.seeds))
    """Seeds of its trainings; accuracy is the mean over them."""
    seed_deviation: float | None = field(metadata=of_runs(_deviation))
    """Standard deviation of accuracy over seeds; None below two."""
    seed_range: Interval | None = field(metadata=of_runs(_range))
    """Lowest and highest accuracy of a seed."""
    trained_words: str = field(metadata=of_runs(lambda one: one.trained))
    """Whether and how it was trained, as tables show it."""
    title: str
    """The method's name, with its training or backbone where the method has several rows."""
    backbone: str | None = field(metadata=of_runs(lambda one: one.backbone))
    frames: str = field(metadata=of_runs(lambda one: one.frames))
    """Which frames it was shown, and how they were resized; empty if a run does not say."""
    sees: str = field(metadata=of_runs(lambda one: one.first.declared.sees))
    order_aware: bool | None = field(metadata=of_runs(lambda one: one.first.declared.order_aware))
    """Whether the order of a query's features in time can change its score; None if unknown."""
    reads_names: bool = field(metadata=of_runs(lambda one: one.reads_names))
    """Whether it is given the names of the classes."""
    is_control: bool = field(metadata=of_runs(lambda one: one.is_control))
    same_as: str | None
    """Title of an earlier row with the same answer to every query."""
    episodes: int = field(metadata=of_runs(lambda one: one.first.identity.episodes))
    queries: int = field(metadata=of_runs(lambda one: len(one.first.rows)))
    """Query videos scored, over all episodes."""
    accuracy: float
    interval: Interval
    """95%, over episodes: the convention of the field."""
    intervals: Mapping[Kind, Interval]
    """95%, by what varies; only the kinds that these runs support."""
    predictions: Mapping[Prediction, Interval]
    """95%, for the accuracy that another data set or training will give."""
    group: tuple[str, ...]
    """Letters; methods that share one cannot be told apart. Empty where that is not known."""
    episodes_per_s: Speed = field(metadata=of_runs(lambda one: one.first.cost.score_episodes_per_s))
    encode_clips_per_s: Speed = field(
        default=math.nan,  # older files lack it
        metadata=of_runs(lambda one: one.first.cost.encode_clips_per_s),
    )
    """Speed of the method's own encoding of videos."""
    embed_clips_per_s: Speed = field(metadata=of_runs(lambda one: one.first.cost.embed_clips_per_s))
    """Speed of the backbone, without decoding."""
    peak_memory_bytes: int = field(metadata=of_runs(lambda one: one.first.cost.peak_memory_bytes))
    device: str = field(  # older runs say "1 threads"
        metadata=of_runs(
            lambda one: one.first.circumstances.device.replace(", 1 threads", ", 1 thread")
        )
    )

    @property
    def widest(self) -> Kind:
        """The widest kind of interval that this row has."""
        return next(kind for kind in reversed(KINDS) if kind in self.intervals)

    @property
    def key(self) -> tuple[object, ...]:
        """Identifies the row on other banks."""
        return self.method, self.trained_words, self.backbone, self.frames, self.training

    @property
    def name(self) -> str:
        """The title, without what a table has in the columns ``trained`` and ``backbone``."""
        title = self.title.replace(f" ({self.trained_words})", "", 1)
        return title.replace(f" ({self.backbone})", "", 1)


def flat(row: Row | DeclaredComparison) -> dict[str, object]:
    """Return each figure of a row under its name, each interval under two."""
    content = asdict(row)
    versus = {one.name: content.pop(one.name) for one in fields(Versus)}
    if training := content.get("training"):
        content["training"] = training.recipe or None
    return flattened(content | versus)


def flattened(content: Mapping[str, Any]) -> dict[str, object]:
    """Return figures by the names of their fields, with two entries for each interval."""
    figures: dict[str, object] = {}
    for key, value in content.items():
        if key.endswith(("intervals", "predictions")):
            link = "over" if key.endswith("intervals") else "of"
            intervals = {f"{key[:-1]} {link} {what}": ends for what, ends in (value or {}).items()}
        elif key.endswith(("interval", "_range")):
            intervals = {key: value or (None, None)}
        else:
            intervals = {}
            figures[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, (low, high) in intervals.items():
            figures |= {f"{name}_low": low, f"{name}_high": high}
    return figures
