"""A mean with its standard error, and the intervals and p-values that follow from it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
"""Default confidence level of intervals."""
CEILING = 0.9
"""Accuracy above which a rare hard class that was not drawn could matter."""
UNSEEN = 0.7
"""Accuracy that is assumed, cautiously, of a class that was not drawn."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error, in the same unit."""

    mean: float
    error: float
    """NaN if it cannot be estimated, as from a single episode."""
    degrees: float
    """Degrees of freedom of the error."""

    def half_width(self, level: float = LEVEL) -> float:
        """Half the width of the Student's t interval.

        Raises:
            ValueError: a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; it lies between 0 and 1")
        if self.error == 0 or math.isnan(self.error):
            return self.error
        return float(stdtrit(self.degrees, 0.5 + level / 2)) * self.error

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Lower and upper end of the interval, symmetric about the mean."""
        half = self.half_width(level)
        return self.mean - half, self.mean + half

    def interval_of_fraction(self) -> tuple[float, float]:
        """Lower and upper end of a mean in [0, 1], symmetric on the scale of the logit.

        Accuracies near 1 vary more to the left than to the right, and no interval should leave
        [0, 1]. In the simulation of docs/statistics.md its coverage is more even than that of
        `interval`.

        A mean of 0 or 1 whose error is 0 is not certain: where n units all succeed, others may fail
        with probability up to 1 - (1 - level) ** (1 / n), about 3 / n at 95% (the rule of three;
        Hanley and Lippman-Hand, JAMA 249, 1983).

        >>> low, high = Estimate(0.9, 0.05, 11).interval_of_fraction()
        >>> f"{low:.3f} {high:.3f}"
        '0.726 0.968'
        >>> low, high = Estimate(1.0, 0.0, 99).interval_of_fraction()
        >>> f"{low:.3f} {high:.3f}"
        '0.970 1.000'
        """
        half = self.half_width()
        if half == 0 and self.mean in {0.0, 1.0}:
            unseen = 1 - (1 - LEVEL) ** (1 / (self.degrees + 1))
            return (1 - unseen, 1.0) if self.mean else (0.0, unseen)
        if not 0 < self.mean < 1 or not half:
            return self.interval()
        middle = math.log(self.mean / (1 - self.mean))
        reach = half / (self.mean * (1 - self.mean))
        return _logistic(middle - reach), _logistic(middle + reach)

    def interval_over_classes(self) -> tuple[float, float]:
        """Lower and upper end of an accuracy over classes: `interval_of_fraction`, with caution.

        If nearly all answers are right, the few classes that were drawn say little about a hard
        class that was not. Above `CEILING` the lower end is as low as if one more class had been
        drawn, with the accuracy `UNSEEN`. In the simulation of docs/statistics.md only this
        interval keeps its coverage there.
        """
        low, high = self.interval_of_fraction()
        if self.mean > CEILING:
            low = min(low, self.with_one_more(UNSEEN).interval_of_fraction()[0])
        return low, high

    def with_one_more(self, value: float) -> "Estimate":
        """Return the estimate that would follow with one more unit, whose mean is ``value``."""
        units = self.degrees + 1
        mean = (units * self.mean + value) / (units + 1)
        apart = (value - self.mean) ** 2 * units / (units + 1)
        squares = self.degrees * units * self.error**2 + apart
        return Estimate(mean, (squares / units / (units + 1)) ** 0.5, self.degrees + 1)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of a mean of zero: below 1 - level if `interval` excludes zero."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stdtr(self.degrees, -abs(self.mean) / self.error))

    @property
    def probability_positive(self) -> float:
        """Posterior probability, under a flat prior, that the true mean is above zero.

        It is one minus the one-sided p-value, and one half for two methods that never differ.
        """
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.5 + 0.5 * float(np.sign(self.mean))
        return float(stdtr(self.degrees, self.mean / self.error))


def _logistic(value: float) -> float:
    return float(0.5 * (1 + math.tanh(value / 2)))


def over_episodes(values: NDArray[np.float64]) -> Estimate:
    """Mean over episodes, with its standard error over other draws of episodes.

    Only the draw of episodes from the same videos varies: the error says how precisely these
    episodes determine the mean over all episodes of this split, not how the method would do on
    other videos, on other classes or after another training.

    Args:
        values: float64 (episodes,), such as accuracies, or their differences between two methods:
            pairing cancels whatever makes an episode easy or hard for both.

    Returns:
        the estimate; its error is NaN for a single episode.

    Raises:
        ValueError: no values.

    Source: Student's t on the sample deviation (ddof 1). The 1.96 with ddof 0 that is common in
        few-shot code gives 0.139 below; from 300 episodes the two agree within 1%.

    >>> estimate = over_episodes(np.array([0.6, 0.8, 1.0, 0.8]))
    >>> f"{estimate.mean:.3f} +/- {estimate.half_width():.3f}"
    '0.800 +/- 0.260'
    """
    count = len(values)
    if not count:
        raise ValueError("no episodes; an estimate needs at least one")
    if count == 1:
        return Estimate(float(values[0]), math.nan, 0)
    deviation = float(np.std(values, ddof=1))
    return Estimate(float(np.mean(values)), deviation / count**0.5, count - 1)
