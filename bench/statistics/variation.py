"""Means of several methods over the same episodes, and what varies in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from bench.statistics.estimate import Estimate
from bench.statistics.jackknife import Matrix, episode_covariance, jackknife
from bench.statistics.units import Design

Kind = Literal[
    "episodes",
    "videos",
    "videos and trainings",
    "videos and classes",
    "videos, classes and trainings",
]
"""What varies in an interval of a mean: the draw of episodes from the same videos (the convention
of the field); the videos too, of the same classes; the classes too; and the seed of training."""
KINDS: tuple[Kind, ...] = get_args(Kind)
WITH_TRAININGS: dict[Kind, Kind] = {
    "videos": "videos and trainings",
    "videos and classes": "videos, classes and trainings",
}
Prediction = Literal["another data set", "another training"]
"""What an interval predicts: the accuracy, or difference, on one more data set of the same size,
with the same weights; or on this bank, after one more training."""
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


@dataclass(frozen=True)
class Trainings:
    """Means of one method after trainings with different seeds."""

    means: Sequence[float]

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds, ddof 1; NaN after a single training."""
        return float(np.std(self.means, ddof=1)) if len(self.means) > 1 else math.nan

    @property
    def error(self) -> Estimate:
        """Their mean, as an estimate of the mean over all trainings."""
        count = len(self.means)
        return Estimate(float(np.mean(self.means)), self.deviation / count**0.5, count - 1)

    @property
    def of_one_more(self) -> Estimate:
        """Their mean, as a prediction of what one more training gives."""
        count = len(self.means)
        error = self.deviation * (1 + 1 / count) ** 0.5
        return Estimate(float(np.mean(self.means)), error, count - 1)


@dataclass(frozen=True)
class Variation:
    """Means over episodes of several series, one for each method, and their covariances."""

    means: Matrix
    """(series,)"""
    covariances: dict[Kind, Matrix]
    """(series, series) for each kind that can be estimated; "episodes" always."""
    degrees: dict[Kind, float]
    """Degrees of freedom of each kind's covariances."""
    trainings: Sequence[Trainings | None]
    """The trainings of each series; None where nothing was trained."""

    def estimate(self, kind: Kind, series: int, minus: int | None = None) -> Estimate | None:
        """Estimate the mean of a series, or its difference to another one.

        Args:
            kind: what varies in the error.
            series: index of the series.
            minus: index of a series to subtract, paired episode by episode.

        Returns:
            the estimate; None where these runs do not support this kind of error.
        """
        base = next((base for base, wider in WITH_TRAININGS.items() if wider == kind), kind)
        if base not in self.covariances:
            return None
        weights = np.zeros(len(self.means))
        weights[series] += 1
        if minus is not None:
            weights[minus] -= 1
        # Other videos cannot make a mean more certain than the same ones. NaN stays NaN.
        least, variance = (
            float(np.maximum(0.0, weights @ self.covariances[one] @ weights))
            for one in ("episodes", base)
        )
        error = max(least, variance) ** 0.5
        found = Estimate(float(weights @ self.means), error, self.degrees[base])
        return found if base == kind else with_trainings(found, self._trained(series, minus))

    def predict(self, what: Prediction, series: int, minus: int | None = None) -> Estimate | None:
        """Predict the mean of a series, or a difference; arguments and None as for `estimate`.

        The error covers both the present mean and the one to come.
        """
        if what == "another data set":
            found = self.estimate("videos and classes", series, minus)
            return found and replace(found, error=2**0.5 * found.error)
        trained, known = self._trained(series, minus), self.estimate("episodes", series, minus)
        if known is None or not trained:
            return None
        mean = Estimate(known.mean, 0.0, 1)
        return _added(mean, [one.of_one_more for one in trained])

    def estimates(self, series: int, minus: int | None = None) -> dict[Kind, Estimate]:
        """Estimate over every kind that these runs support; arguments as for `estimate`."""
        found = {kind: self.estimate(kind, series, minus) for kind in KINDS}
        return {kind: one for kind, one in found.items() if one is not None}

    def predictions(self, series: int, minus: int | None = None) -> dict[Prediction, Estimate]:
        """Predict all that these runs support; arguments as for `estimate`."""
        found = {what: self.predict(what, series, minus) for what in PREDICTIONS}
        return {what: one for what, one in found.items() if one is not None}

    def widest(self, series: int, minus: int | None = None) -> Kind | None:
        """Name the widest kind that both series support: the one that decides.

        Returns:
            None where nothing may be decided: where only episodes can be drawn anew, or where two
            trained methods are compared and one of them was trained only once, so that the part of
            training in the difference is unknown.
        """
        base = self.base
        trained = self._trained(series, minus)
        if base is None or not trained:
            return base
        if all(len(one.means) > 1 for one in trained):
            return WITH_TRAININGS[base]
        return base if len(trained) == 1 else None

    @property
    def base(self) -> Kind | None:
        """The widest kind that may decide, trainings aside; None if there are only episodes."""
        kinds: tuple[Kind, ...] = ("videos and classes", "videos")
        return next((kind for kind in kinds if kind in self.covariances), None)

    @property
    def loadings(self) -> Matrix:
        """(series, causes): how independent causes move the means, in the widest kind there is.

        Their products are the covariance over units without its negative eigenvalues, plus the
        variances of trainings on the diagonal.
        """
        base = self.base or "episodes"
        values, vectors = np.linalg.eigh(self.covariances[base])
        moved = vectors * np.sqrt(np.maximum(values, 0.0))
        known = [
            0.0 if one is None or len(one.means) < 2 else one.error.error for one in self.trainings
        ]
        return np.hstack([moved, np.diag(known)])

    def _trained(self, series: int, minus: int | None) -> list[Trainings]:
        """The trainings of the series; none where a series is compared with itself."""
        if series == minus:
            return []
        found = [self.trainings[one] for one in (series, minus) if one is not None]
        return [one for one in found if one is not None]


def with_trainings(base: Estimate, trainings: Sequence[Trainings]) -> Estimate | None:
    """Add the variance of independent trainings to that of an estimate, and keep its mean.

    Returns:
        None without trainings, or where a method was trained only once.
    """
    return _added(base, [one.error for one in trainings]) if trainings else None


def _added(base: Estimate, parts: Sequence[Estimate]) -> Estimate | None:
    """Sum variances; degrees of freedom after Welch and Satterthwaite."""
    if any(math.isnan(one.error) for one in parts):
        return None
    variances = np.array([part.error**2 for part in (base, *parts)])
    degrees = np.array([part.degrees for part in (base, *parts)])
    total = float(variances.sum())
    joint = total**2 / float((variances**2 / degrees).sum()) if total else base.degrees
    return Estimate(base.mean, total**0.5, joint)


def measure(
    values: Matrix, design: Design | None, trainings: Sequence[Trainings | None] | None = None
) -> Variation:
    """Take means over episodes of several methods, and estimate their variation.

    Args:
        values: float64 (episodes, series): the accuracy of each method in each episode, over its
            training seeds if there are several.
        design: the recordings and classes of each episode; without it, only the variation over
            episodes can be estimated.
        trainings: for each series, its means after each training, or None.

    Raises:
        ValueError: no episodes.
    """
    if not len(values):
        raise ValueError("no episodes; an estimate needs at least one")
    unknown = np.full((values.shape[1], values.shape[1]), np.nan)
    over_episodes = episode_covariance(values) if len(values) > 1 else unknown
    covariances: dict[Kind, Matrix] = {"episodes": over_episodes}
    degrees: dict[Kind, float] = {"episodes": len(values) - 1}
    if design is not None:
        for kind, units in (("videos", design.videos), ("videos and classes", design.classes)):
            covariance, free = jackknife(values, units)
            if free:
                covariances[kind], degrees[kind] = covariance, free  # type: ignore[index]
    none = [None] * values.shape[1]
    return Variation(values.mean(axis=0), covariances, degrees, trainings or none)
