"""How means over episodes would vary with other units: the delete-one-unit jackknife.

An accuracy over episodes is a U-statistic: a mean over draws of several classes and videos at
once. Deleting a unit, with all episodes that contain it, changes the mean by what the unit
contributes in all its roles: as query, as support and as distractor. The spread of these means
estimates the variance over draws of units (Arvesen, Annals of Mathematical Statistics 40, 1969).

Since the episodes are a sample of all draws, deleting some adds noise: with u units in an episode,
about u times the variance that the sampling of episodes adds to the mean, which should count once.
So u - 1 times that variance is subtracted. With few units the noise is somewhat more than u times;
the rest keeps intervals from being too narrow (docs/statistics.md).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.statistics.units import Units

Matrix = NDArray[np.float64]
CHUNK = 1 << 16
"""Number of episodes summed at once, which bounds memory and affects only rounding."""


def jackknife(values: Matrix, units: Units) -> tuple[Matrix, float]:
    """Covariance of means over episodes under new draws of the units.

    Args:
        values: float64 (episodes, series), such as the accuracy of each of several methods.
        units: the units that each episode contains.

    Returns:
        (series, series) covariance matrix of the means, and its degrees of freedom. NaN and 0 if
        it cannot be estimated: a unit is in every episode, or there is a single unit. If units
        matter little, a variance may be below that over episodes, or below zero.

    >>> units = Units(np.array([[0, 1], [1, 2], [0, 2]] * 2, np.int32), np.zeros(3, int), "classes")
    >>> covariance, degrees = jackknife(np.array([[1.0, 0.6, 0.5] * 2]).T, units)
    >>> degrees
    2.0
    """
    used, episodes = units.shown, len(values)
    if used.sum() < 2 or units.always_shown.any():
        return np.full((values.shape[1], values.shape[1]), np.nan), 0.0
    counts = units.counts[used]
    without = (values.sum(axis=0) - unit_sums(values, units)[used]) / (episodes - counts)[:, None]
    _, stratum, sizes = np.unique(units.strata[used], return_inverse=True, return_counts=True)
    weight = 1 - 1 / sizes[stratum]
    sums = np.stack([np.bincount(stratum, weights=column) for column in without.T], axis=1)
    moved = without - (sums / sizes[:, None])[stratum]
    noise = (counts.sum() / episodes - 1) * episode_covariance(values)
    covariance = (weight[:, None] * moved).T @ moved - noise
    return covariance, float(weight.sum())


def unit_sums(values: Matrix, units: Units) -> Matrix:
    """Return each unit's summed values over its episodes, (units, series)."""
    sums = np.zeros((len(units), values.shape[1]))
    for first in range(0, len(values), CHUNK):
        members, part = units.members[first : first + CHUNK], values[first : first + CHUNK]
        where = np.nonzero(members >= 0)
        place = (members[where], where[0])
        shows = sparse.csr_array((np.ones(len(where[0])), place), shape=(len(units), len(part)))
        sums += np.asarray(shows @ part)
    return sums


def episode_covariance(values: Matrix) -> Matrix:
    """(series, series) covariance of means over independently drawn episodes; ddof 1."""
    covariance = np.atleast_2d(np.cov(values, rowvar=False)) / len(values)
    return np.asarray(covariance, dtype=np.float64)


def pseudo_values(values: NDArray[np.float64], units: Units) -> NDArray[np.float64]:
    """Contributions of units to a mean, (units shown,); their mean is nearly the mean itself.

    Args:
        values: float64 (episodes,).
        units: the units that each episode contains.
    """
    sums = unit_sums(values[:, None], units)[units.shown, 0]
    without = (values.sum() - sums) / (len(values) - units.counts[units.shown])
    number = len(without)
    return np.asarray(number * values.mean() - (number - 1) * without)


def variance_shares(values: NDArray[np.float64], units: Units) -> NDArray[np.float64]:
    """(units,) each unit's share of a mean's variance over units; the shares sum to 1.

    Args:
        values: float64 (episodes,).
        units: the units that each episode contains; the share of those in no episode is 0.
    """
    contributed = pseudo_values(values, units)
    squares = np.square(contributed - contributed.mean())
    shares = np.zeros(len(units))
    shares[units.shown] = squares / squares.sum() if squares.any() else 1 / len(squares)
    return shares
