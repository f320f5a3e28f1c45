"""The intervals that were tried, among them the chosen ones."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.statistics.estimate import Estimate, over_episodes
from bench.statistics.jackknife import jackknife, pseudo_values, unit_sums
from bench.statistics.units import Design, Units
from bench.statistics.variation import Kind, Prediction, Trainings, Variation, measure
from studies.coverage.hierarchical import fit
from studies.coverage.worlds import Place

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """The answers of one world, from which intervals are computed."""

    values: NDArray[np.float64]
    """(episodes,) accuracies, or their differences between two methods."""
    by_query: NDArray[np.float64]
    """(episodes, queries) of which ``values`` are the means."""
    hits: NDArray[np.float64]
    """(methods or trainings, episodes, queries) from which ``by_query`` follows."""
    place: Place
    design: Design
    generator: np.random.Generator
    is_fraction: bool
    """Whether it is an accuracy, rather than a difference."""
    trainings: Trainings | None = None

    @cached_property
    def variation(self) -> Variation:
        """The variation that the harness finds."""
        return measure(self.values[:, None], self.design, [self.trainings])

    def estimate(self, kind: Kind) -> Estimate:
        """Return the harness's estimate over a kind of variation."""
        found = self.variation.estimate(kind, 0)
        if found is None:
            raise ValueError(f"the simulated bank cannot tell what varies with {kind}")
        return found

    def predict(self, what: Prediction) -> Estimate:
        """Return the harness's prediction of the next figure."""
        found = self.variation.predict(what, 0)
        if found is None:
            raise ValueError(f"the simulated bank cannot predict {what}")
        return found


Candidate = Callable[[Sample], Interval]
RESAMPLES = 100


def of_episodes(sample: Sample) -> Interval:
    """The convention: episodes as independent draws."""
    return over_episodes(sample.values).interval()


def over(kind: Kind) -> Candidate:
    """Return the interval that the harness prints for a kind of variation."""

    def interval(sample: Sample) -> Interval:
        estimate = sample.estimate(kind)
        if not sample.is_fraction:
            return estimate.interval()
        if "classes" in kind:
            return estimate.interval_over_classes()
        return estimate.interval_of_fraction()

    return interval


def symmetric(sample: Sample) -> Interval:
    """The chosen one, but not on the scale of the logit."""
    return sample.estimate("videos and classes").interval()


def corrected_for_skewness(sample: Sample) -> Interval:
    """Hall's transformation of Student's t, Journal of the Royal Statistical Society B 54, 1992.

    The skewness is that of the contributions of single units.
    """
    estimate = sample.estimate("videos and classes")
    contributed = pseudo_values(sample.values, sample.design.classes)
    number = len(contributed)
    skewness = float(stats.skew(contributed, bias=False)) / number**0.5
    reach = float(stats.t.ppf(0.975, estimate.degrees))
    if abs(skewness) < 1e-6:
        return estimate.interval()
    low, high = (
        3 * (math.copysign(abs(inner) ** (1 / 3), inner) - 1) / skewness
        for inner in (1 + skewness * (end - skewness / 6) for end in (-reach, reach))
    )
    return estimate.mean - high * estimate.error, estimate.mean - low * estimate.error


def on_the_logit(sample: Sample) -> Interval:
    """The chosen one, without caution about a class that was not drawn."""
    return sample.estimate("videos and classes").interval_of_fraction()


def hierarchical(sample: Sample) -> Interval:
    """A logit with normal effects of classes, and of videos as queries and as support."""
    if sample.is_fraction:
        return fit(sample.hits[:1], sample.place).interval()
    return fit(sample.hits[:2], sample.place).interval_of_difference()


def with_noise(sample: Sample) -> Interval:
    """The delete-one jackknife without subtracting the noise of leaving out episodes."""
    values, units = sample.values, sample.design.classes
    counts, sums = units.counts, unit_sums(values[:, None], units)
    without = (values.sum() - sums[:, 0]) / (len(values) - counts)
    number = len(units)
    variance = (number - 1) / number * float(np.square(without - without.mean()).sum())
    return Estimate(float(values.mean()), variance**0.5, number - 1).interval()


def single_classes(sample: Sample) -> Interval:
    """The jackknife that leaves out one class at a time, though classes come in pairs."""
    shown = np.sort(sample.place.classes, axis=1).astype(np.int32)
    units = Units(shown, np.zeros(len(sample.place.pair_of_class), dtype=np.int64), "classes")
    covariance, degrees = jackknife(sample.values[:, None], units)
    variance = max(0.0, float(covariance[0, 0]))
    return Estimate(float(sample.values.mean()), variance**0.5, degrees).interval()


def class_means(sample: Sample) -> Interval:
    """Student's t on the means of queries by their class."""
    labels = sample.place.episodes.labels.astype(np.int64)
    true = np.take_along_axis(sample.place.classes, labels, axis=1).ravel()
    number = len(sample.place.pair_of_class)
    sums = np.bincount(true, weights=sample.by_query.ravel(), minlength=number)
    return over_episodes(sums / np.bincount(true, minlength=number)).interval()


def bootstrap(sample: Sample) -> Interval:
    """Classes and recordings drawn with replacement; they multiply the weight of an episode."""
    means = []
    for _ in range(RESAMPLES):
        weight = np.ones(len(sample.values))
        for units in (sample.design.classes, sample.design.videos):
            times = np.append(_times(sample.generator, units), 1.0)
            weight *= times[units.members].prod(axis=1)
        if weight.sum():
            means.append(float(np.average(sample.values, weights=weight)))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _times(generator: np.random.Generator, units: Units) -> NDArray[np.float64]:
    """Number of times that each unit is drawn, with replacement within its stratum."""
    times = np.zeros(len(units))
    for stratum in np.unique(units.strata):
        inside = np.flatnonzero(units.strata == stratum)
        drawn = generator.integers(0, len(inside), len(inside))
        times[inside] = np.bincount(drawn, minlength=len(inside))
    return times


def disjoint_episodes(sample: Sample) -> Interval:
    """The convention over episodes that share no video: Lafargue et al., arXiv 2409.02850."""
    seen: set[int] = set()
    chosen = []
    members = sample.design.videos.members
    for index in range(len(members)):
        found = {int(one) for one in members[index] if one >= 0}
        if not seen & found:
            seen |= found
            chosen.append(index)
    return over_episodes(sample.values[chosen]).interval()


CANDIDATES: Mapping[str, Candidate] = {
    "episodes, the convention": of_episodes,
    "episodes that share no video": disjoint_episodes,
    "t over class means": class_means,
    "bootstrap of classes and videos": bootstrap,
    "jackknife over single classes": single_classes,
    "jackknife, noise not taken off": with_noise,
    "jackknife, symmetric": symmetric,
    "chosen": over("videos and classes"),
}
OF_HARD: Mapping[str, Candidate] = {
    "episodes": of_episodes,
    "symmetric": symmetric,
    "corrected for skewness": corrected_for_skewness,
    "scale of the logit": on_the_logit,
    "chosen": over("videos and classes"),
}
SECOND_OPINION: Mapping[str, Candidate] = {
    "chosen": over("videos and classes"),
    "hierarchical logit": hierarchical,
}
