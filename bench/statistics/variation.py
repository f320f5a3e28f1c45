"""Means of several methods over the same episodes, and what each would vary with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bench.statistics.estimate import Estimate
from bench.statistics.jackknife import Matrix, episode_covariance, jackknife
from bench.statistics.units import Design

Kind = Literal["episodes", "videos", "videos and classes", "videos, classes and trainings"]
"""What varies in an interval: the draw of episodes from the same videos (the convention of the
field); the videos too, of the same classes; the classes too; and the seed of training too."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Trainings:
    """Means of one method after trainings with different seeds."""

    means: Sequence[float]

    @property
    def error(self) -> Estimate:
        """Their mean; its error is NaN after a single training, which tells nothing of others."""
        count = len(self.means)
        deviation = float(np.std(self.means, ddof=1)) if count > 1 else math.nan
        return Estimate(float(np.mean(self.means)), deviation / count**0.5, count - 1)


@dataclass(frozen=True)
class Variation:
    """Means over episodes of several series, one for each method, and their covariances."""

    means: Matrix
    """(series,)"""
    covariances: dict[Kind, Matrix]
    """(series, series) for each kind that can be told; "episodes" always."""
    degrees: dict[Kind, float]
    """Degrees of freedom of each kind's covariances."""
    trainings: Sequence[Trainings | None]
    """Of each series; None where nothing was trained."""

    def estimate(self, kind: Kind, series: int, minus: int | None = None) -> Estimate | None:
        """Estimate a series' mean, or its difference to another one of the same episodes.

        Args:
            kind: what varies in the error.
            series: which one.
            minus: which one is taken off, paired episode by episode; none if None.

        Returns:
            the estimate; None where this kind of error cannot be told from these runs.
        """
        weights = np.zeros(len(self.means))
        weights[series] += 1
        if minus is not None:
            weights[minus] -= 1
        if kind == "videos, classes and trainings":
            return self._with_trainings(weights)
        return self._over(kind, weights)

    def _over(self, kind: Kind, weights: Matrix) -> Estimate | None:
        if kind not in self.covariances:
            return None
        variance = _variance(self.covariances[kind], weights)
        if not variance > (least := _variance(self.covariances["episodes"], weights)):
            variance = least  # other videos cannot make a mean surer than the same videos do
        return Estimate(float(weights @ self.means), variance**0.5, self.degrees[kind])

    def _with_trainings(self, weights: Matrix) -> Estimate | None:
        """Add the variance of independent trainings; degrees after Welch and Satterthwaite."""
        base = self._over("videos and classes", weights)
        trained = [one.error for one, w in zip(self.trainings, weights, strict=True) if one and w]
        if base is None or not trained or any(math.isnan(one.error) for one in trained):
            return None
        variances = np.array([part.error**2 for part in (base, *trained)])
        degrees = np.array([part.degrees for part in (base, *trained)])
        total = float(variances.sum())
        joint = total**2 / float((variances**2 / degrees).sum()) if total else base.degrees
        return Estimate(base.mean, total**0.5, joint)


def _variance(covariance: Matrix, weights: Matrix) -> float:
    return max(0.0, float(weights @ covariance @ weights))


def measure(
    values: Matrix, design: Design | None, trainings: Sequence[Trainings | None] | None = None
) -> Variation:
    """Take means over episodes of several methods, and find what they vary with.

    Args:
        values: float64 (episodes, series): the accuracy of each method in each episode, over its
            training seeds if there are several.
        design: which recordings and classes each episode shows; without it, only the variation
            over episodes can be told.
        trainings: for each series, its means after each training, or None.

    Raises:
        ValueError: no episodes.
    """
    if not len(values):
        raise ValueError("no episodes; an estimate needs at least one")
    covariances: dict[Kind, Matrix] = {"episodes": _over_episodes(values)}
    degrees: dict[Kind, float] = {"episodes": len(values) - 1}
    if design is not None:
        for kind, units in (("videos", design.videos), ("videos and classes", design.classes)):
            covariance, free = jackknife(values, units)
            if free:
                covariances[kind], degrees[kind] = covariance, free  # type: ignore[index]
    none = [None] * values.shape[1]
    return Variation(values.mean(axis=0), covariances, degrees, trainings or none)


def _over_episodes(values: Matrix) -> Matrix:
    if len(values) == 1:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    return episode_covariance(values)
