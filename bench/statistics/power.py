"""The number of episodes, videos or classes that it takes to detect a difference."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from scipy.special import stdtrit

from bench.statistics.estimate import LEVEL, Estimate

POWER = 0.8
"""Probability with which the difference is to be detected."""
MOST = 10**7
"""The largest answer: more units are not searched for."""


@dataclass(frozen=True)
class Need:
    """The number of units that a kind of variation requires."""

    smallest: float
    """Smallest difference that the present number of units detects."""
    units: int
    """Present number of units: episodes, recordings, classes or pairs of classes."""
    needed: int
    """Number of units that the wanted difference takes; `MOST` if it takes more."""


def need(estimate: Estimate, units: int, wanted: float) -> Need:
    """Compute the number of units that detect a difference, from its error with those at hand.

    The variance is inversely proportional to the number of units. With few units it is itself
    uncertain, which Student's t accounts for.

    Args:
        estimate: of a paired difference, over this kind of variation.
        units: number of units behind its error.
        wanted: the difference to detect, a fraction above 0.

    Raises:
        ValueError: the difference is not above 0.

    Source: Cohen, Statistical Power Analysis, 1988, section 2.3: error times the sum of the
        quantiles for level and power.

    >>> need(Estimate(0.02, 0.01, 11), 12, 0.01).needed
    97
    """
    if not wanted > 0:
        raise ValueError(f"the difference to detect is {wanted}; it is above 0")
    freedom = estimate.degrees / units

    def smallest(number: int) -> float:
        """Smallest difference that a number of units detects."""
        degrees = min(number * freedom, number - 1)
        if degrees <= 0:
            return math.inf
        quantiles = sum(float(stdtrit(degrees, one)) for one in (0.5 + LEVEL / 2, POWER))
        return quantiles * math.sqrt(estimate.error**2 * units / number)

    numbers = range(1, MOST)
    enough = bisect_left(numbers, True, key=lambda number: smallest(number) <= wanted)
    return Need(smallest(units), units, 1 + enough)
