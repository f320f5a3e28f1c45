"""The number of episodes, videos or classes that it takes to detect a difference."""

import math
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
    """Compute how many units it takes to detect a difference, from its error with those at hand.

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
        raise ValueError(f"the difference to be seen is {wanted}; it is above 0")
    per_unit = estimate.error**2 * units
    freedom = estimate.degrees / units
    low, high = 1, 1
    while high < MOST and _seen(per_unit, high, freedom) > wanted:
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        if _seen(per_unit, middle, freedom) > wanted:
            low = middle
        else:
            high = middle
    return Need(_seen(per_unit, units, freedom), units, high)


def _seen(per_unit: float, units: int, freedom: float) -> float:
    """Smallest difference that this many units detect at `LEVEL` with probability `POWER`."""
    degrees = min(units * freedom, units - 1)
    if degrees <= 0:
        return math.inf
    quantiles = sum(float(stdtrit(degrees, one)) for one in (0.5 + LEVEL / 2, POWER))
    return quantiles * math.sqrt(per_unit / units)
