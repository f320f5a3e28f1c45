"""Means and intervals over episodes, and paired differences between methods."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class Estimate(NamedTuple):
    """A mean and the half-width of its interval, in the unit of the values."""

    mean: float
    half_width: float

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end."""
        return self.mean - self.half_width, self.mean + self.half_width


def episode_interval(values: NDArray[np.float64], level: float = 0.95) -> Estimate:
    """Mean over episodes and the half-width of its confidence interval.

    What varies in it is the draw of episodes from the same videos: it says how well this many
    episodes pin down the mean over all episodes of this split, not how the method would do on
    other videos, other classes or after another training.

    Args:
        values: float64 (episodes,), for instance the accuracy of each.
        level: coverage asked for, in (0, 1).

    Returns:
        mean and half-width; the half-width is NaN for a single episode.

    Raises:
        ValueError: no values, or a level outside (0, 1).

    Source: Student's t on the sample deviation (ddof 1). The 1.96 with ddof 0 that is common in
        few-shot code gives 0.139 below; from 300 episodes the two agree within 1%.

    >>> mean, half = episode_interval(np.array([0.6, 0.8, 1.0, 0.8]))
    >>> f"{mean:.3f} +/- {half:.3f}"
    '0.800 +/- 0.260'
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it lies between 0 and 1")
    if not len(values):
        raise ValueError("no episodes; an interval needs at least one")
    count = len(values)
    if count == 1:
        return Estimate(float(values[0]), float("nan"))
    quantile = float(stats.t.ppf(0.5 + level / 2, count - 1))
    deviation = float(np.std(values, ddof=1))
    return Estimate(float(np.mean(values)), quantile * deviation / count**0.5)


def paired_difference(
    values: NDArray[np.float64], reference: NDArray[np.float64], level: float = 0.95
) -> Estimate:
    """Mean of ``values - reference`` over the same episodes, with its interval.

    Both methods saw the same episodes, so what made an episode easy or hard for both drops out:
    the interval is narrower than the two methods' own intervals suggest.

    Args:
        values: float64 (episodes,).
        reference: float64 (episodes,), of the same episodes in the same order.
        level: coverage asked for, in (0, 1).

    Raises:
        ValueError: the two have different lengths.

    >>> difference = paired_difference(np.array([0.6, 0.8, 1.0]), np.array([0.4, 0.6, 0.8]))
    >>> round(difference.mean, 6)
    0.2
    """
    if len(values) != len(reference):
        raise ValueError(f"{len(values)} and {len(reference)} episodes; pairs need as many of both")
    return episode_interval(values - reference, level)
