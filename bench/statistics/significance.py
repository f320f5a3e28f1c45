"""Tests of differences: exact, by permutation, and corrected for how many there are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

EXACT_UNITS = 16
"""Up to so many units all patterns of signs are tried: 65,536."""
PATTERNS = 1 << 14
"""Random patterns of signs that are tried beyond."""
CHUNK = 1 << 20
"""Signs held at once."""


def sign_flip_p_value(values: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p-value of a mean of zero, from turning signs.

    If two methods are equally good, each unit's difference might as well have had the other sign.
    The p-value is the share of sign patterns whose mean is at least as far from zero. It is exact
    up to 16 units; beyond, random patterns are drawn, and the pattern found counts as one of them.

    Args:
        values: (units,) differences, one for each episode, recording or class.
        seed: of the random patterns.

    Raises:
        ValueError: no values.

    Source: Fisher, The Design of Experiments, 1935, section 21.

    >>> sign_flip_p_value(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    if not len(values):
        raise ValueError("no differences; a test needs at least one")
    found = abs(float(values.sum())) - 1e-9 * float(np.abs(values).sum())
    if len(values) <= EXACT_UNITS:
        patterns = np.arange(1 << len(values))[:, None] >> np.arange(len(values)) & 1
        return float((np.abs((2 * patterns - 1) @ values) >= found).mean())
    moving = values[values != 0]
    generator, reached = np.random.default_rng(seed), 0
    rows = max(1, CHUNK // max(1, len(moving)))
    for first in range(0, PATTERNS, rows):
        shape = (min(rows, PATTERNS - first), len(moving))
        signs = generator.integers(0, 2, shape, dtype=np.int8)
        reached += int((np.abs(2 * (signs @ moving) - moving.sum()) >= found).sum())
    return (reached + 1) / (PATTERNS + 1)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value of McNemar's test: queries that only one of two methods got right.

    It takes queries as independent, which those of the same videos are not: it speaks of these
    videos alone.

    Source: McNemar, Psychometrika 12, 1947; exact as a binomial test with probability one half.

    >>> round(mcnemar_p_value(10, 2), 4)
    0.0386
    """
    discordant = only_first + only_second
    if not discordant:
        return 1.0
    return float(stats.binomtest(only_first, discordant).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number; NaN stays NaN and does not count.

    Below a level, they are the differences that are real with at most that probability of even
    one being none.

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    steps = values[order] * (len(order) - np.arange(len(order)))
    corrected = values.copy()
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(value) for value in corrected]
