"""Rank correlation of methods between two banks, and how it would vary with other classes.

Each bank gives every method an accuracy. Kendall's tau-b and Spearman's rho compare the two orders
of methods. Their interval comes from the jackknife over classes (or pairs of partner classes): a
class is left out with all episodes that show it, which changes the order of methods and so the
correlation. Banks over the same split lose a class together, others one after the other.

The estimate is of the correlation between accuracies as measured with this number of classes. Noise
in them pulls it towards 0, all the more where methods are close: a low correlation may mean that
banks disagree, or that methods hardly differ. Fisher's z-transform was tried and abandoned: with
few classes and a correlation near 1 it gives intervals from -1 to 1, and no better coverage
elsewhere.

Source: Arvesen, Annals of Mathematical Statistics 40, 1969: the jackknife of functions of
U-statistics, of one sample or of two.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.statistics import LEVEL, Design, Units
from bench.statistics.jackknife import unit_sums

Matrix = NDArray[np.float64]
FEWEST = 4
"""Least number of methods for a rank correlation."""


@dataclass(frozen=True)
class Side:
    """Accuracies of the same methods on one bank."""

    values: Matrix
    """(episodes, methods) fraction of right answers."""
    design: Design | None
    """Which classes each episode shows; None where that cannot be known."""
    split_sha256: str
    """Hash of the list of videos: banks over the same list share their classes."""

    @property
    def means(self) -> Matrix:
        """(methods,) accuracies."""
        return np.asarray(self.values.mean(axis=0))

    def without_each(self, classes: Units) -> Matrix:
        """(classes, methods) accuracies over the episodes that do not show a class."""
        left = (len(self.values) - classes.counts)[:, None]
        return np.asarray((self.values.sum(axis=0) - unit_sums(self.values, classes)) / left)


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its 95% interval over classes."""

    value: float
    """-1..1; NaN where a bank ties all methods."""
    interval: tuple[float, float] | None
    """None where classes cannot be left out."""


def kendall(one: Side, other: Side) -> Correlation:
    """Kendall's tau-b between two banks' accuracies of the same methods.

    Source: Kendall, Rank Correlation Methods, 1948.
    """
    from scipy.stats import kendalltau  # noqa: PLC0415 - takes a second to import

    return _correlation(one, other, lambda a, b: float(kendalltau(a, b).statistic))


def spearman(one: Side, other: Side) -> Correlation:
    """Spearman's rho between two banks' accuracies of the same methods."""
    from scipy.stats import spearmanr  # noqa: PLC0415 - takes a second to import

    return _correlation(one, other, lambda a, b: float(spearmanr(a, b).statistic))


def _correlation(one: Side, other: Side, measure: Callable[[Matrix, Matrix], float]) -> Correlation:
    value = measure(one.means, other.means)
    if one.design is None or other.design is None or math.isnan(value):
        return Correlation(value, None)
    classes, others = one.design.classes, other.design.classes
    if any(each.shown.sum() < 2 or each.always_shown.any() for each in (classes, others)):
        return Correlation(value, None)
    left, right = one.without_each(classes), other.without_each(others)
    if one.split_sha256 == other.split_sha256:
        either = classes.shown | others.shown
        samples = [[measure(a, b) for a, b in zip(left[either], right[either], strict=True)]]
    else:
        samples = [
            [measure(a, other.means) for a in left[classes.shown]],
            [measure(one.means, b) for b in right[others.shown]],
        ]
    return Correlation(value, _interval(value, samples, len(one.means)))


def _interval(
    value: float, samples: Sequence[Sequence[float]], methods: int
) -> tuple[float, float] | None:
    """Add the jackknife variances of independent samples of classes; Student's t, within -1..1.

    Where no class changes the order, the interval still reaches as far as half a pair of methods
    would move the correlation.
    """
    variances = [(len(one) - 1) ** 2 / len(one) * float(np.var(one, ddof=1)) for one in samples]
    total = sum(variances)
    if math.isnan(total):
        return None
    parts = sum(v**2 / (len(one) - 1) for v, one in zip(variances, samples, strict=True))
    degrees = total**2 / parts if total else 1.0
    half_a_pair = 2 / (methods * (methods - 1))
    reach = max(float(stdtrit(degrees, 0.5 + LEVEL / 2)) * math.sqrt(total), half_a_pair)
    return max(value - reach, -1.0), min(value + reach, 1.0)
