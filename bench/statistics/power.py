"""How much is needed to see a difference: episodes, videos or classes."""

import math
from dataclasses import dataclass

from scipy import stats

from bench.statistics.estimate import LEVEL, Estimate

POWER = 0.8
"""Probability with which the difference is to be seen."""
MOST = 10**7
"""Beyond this many the answer is "more than that"."""


@dataclass(frozen=True)
class Need:
    """What one kind of variation asks for."""

    smallest: float
    """Smallest difference that is seen with what there is now."""
    units: int
    """How many units there are now: episodes, recordings, classes or pairs of classes."""
    needed: int
    """How many units the wanted difference takes; `MOST` if it takes more."""


def need(estimate: Estimate, units: int, wanted: float) -> Need:
    """How many units of a kind it takes to see a difference, from its error with those there are.

    The variance goes down with the number of units; that of few units must itself be estimated,
    for which Student's t asks its price.

    Args:
        estimate: of a paired difference, over this kind of variation.
        units: how many units its error comes from.
        wanted: the difference to be seen, a fraction above 0.

    Raises:
        ValueError: a difference that is not above 0.

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
    """Smallest difference that so many units show at `LEVEL` with probability `POWER`."""
    degrees = min(units * freedom, units - 1)
    if degrees <= 0:
        return math.inf
    quantiles = sum(float(stats.t.ppf(one, degrees)) for one in (0.5 + LEVEL / 2, POWER))
    return quantiles * math.sqrt(per_unit / units)
