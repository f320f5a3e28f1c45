"""Tests of differences, corrections for their number, and letters of methods that share a group."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

EXACT_UNITS = 16
"""Up to this many units all sign patterns are enumerated: 65,536."""
PATTERNS = 1 << 14
"""Random sign patterns drawn for more units than that."""
CHUNK = 1 << 20
"""Number of signs, or of drawn differences, in memory at once."""
DRAWS = 20_000
"""Joint draws of all differences from which step-down p-values are computed."""
DOUBT = 4.0
"""Divided by the degrees of freedom, the share of each difference's variance that is taken as
independent of the others. The correlation of comparisons is itself estimated, too high from few
units: with 6 to 24 units and 8 to 40 comparisons between equal methods, any of them is called
different in 5% of families with this, and in up to 11% without (docs/statistics.md)."""


def sign_flip_p_value(values: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p-value of a mean of zero, by flipping signs.

    If two methods are equally good, each unit's difference might as well have had the other sign.
    The p-value is the share of sign patterns whose mean is at least as far from zero. It is exact
    up to 16 units; beyond that, random patterns are drawn, and the observed one is added to them.

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
    """Two-sided exact p-value of McNemar's test of queries that only one of two methods got right.

    It takes queries as independent, which those of the same videos are not: it is valid for these
    videos only.

    Source: McNemar, Psychometrika 12, 1947; exact as a binomial test with probability one half.

    >>> round(mcnemar_p_value(10, 2), 4)
    0.0386
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - takes a second to import

    discordant = only_first + only_second
    if not discordant:
        return 1.0
    return float(binomtest(only_first, discordant).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number; NaN stays NaN and does not count.

    Among differences with a corrected p-value below a level, the probability of even one false
    positive is at most that level.

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


@dataclass(frozen=True)
class StepDown:
    """A family of comparisons, corrected for their number and their correlation."""

    p_values: Sequence[float]
    """Corrected, in the order of the family; NaN where there was none."""
    threshold: float
    """Uncorrected p-value below which a difference that is not significant would have been."""


def step_down(
    p_values: Sequence[float],
    loadings: NDArray[np.float64],
    degrees: float,
    level: float,
    seed: int = 0,
    draws: int = DRAWS,
    threshold: bool = True,
) -> StepDown:
    """Correct p-values for their number, taking the correlation of comparisons into account.

    A corrected p-value is the probability that the smallest of all p-values, once those below the
    one found are set aside, is as small as that one. Comparisons with one reference are correlated,
    so this is less strict than Holm's correction, which holds whatever the correlation.

    Args:
        p_values: two-sided, each from its own test; NaN does not count.
        loadings: (comparisons, causes) how independent normal causes move each difference.
        degrees: degrees of freedom of the loadings.
        level: confidence level: a difference is significant if its corrected p-value is below
            1 - level.
        seed: of the draws.
        draws: their number; p-values are multiples of its inverse.
        threshold: whether to compute the threshold too, which doubles the time; NaN if not.

    Source: step-down max-T of Westfall and Young, Resampling-Based Multiple Testing, 1993, section
        2.6, with normal draws as Hothorn, Bretz and Westfall, Biometrical Journal 50, 2008; each
        difference on the scale of its own Student's t.

    >>> alike = step_down([0.01, 0.02], np.array([[1.0], [1.0]]), 10_000, 0.95)
    >>> apart = step_down([0.01, 0.02], np.eye(2), 10_000, 0.95)
    >>> [round(one, 2) for one in [*alike.p_values, *apart.p_values]]
    [0.01, 0.02, 0.02, 0.02]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    corrected = values.copy()
    if not len(order):
        return StepDown(values.tolist(), 1 - level)
    lengths = np.sqrt(np.square(loadings).sum(axis=1))
    directions = loadings / np.where(lengths > 0, lengths, 1.0)[:, None]
    found = -ndtri(values[order] / 2)
    reached = np.zeros(len(order))
    own = min(1.0, DOUBT / degrees)
    for drawn in _draws(directions[order], own, seed, draws):
        rest = np.maximum.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
        reached += (rest >= found).sum(axis=0)
    steps = np.maximum((reached + 1) / (draws + 1), values[order])
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    left = order[corrected[order] >= 1 - level]
    if not len(left) or not threshold:
        return StepDown(corrected.tolist(), 1 - level if threshold else math.nan)
    largest = np.concatenate(
        [drawn.max(axis=1) for drawn in _draws(directions[left], own, seed, draws)]
    )
    return StepDown(corrected.tolist(), float(2 * ndtr(-np.quantile(largest, level))))


def _draws(
    directions: NDArray[np.float64], own: float, seed: int, draws: int
) -> Iterator[NDArray[np.float64]]:
    """Absolute values of correlated standard normal differences, (draws, comparisons) at a time."""
    generator = np.random.default_rng(seed)
    number, causes = directions.shape
    rows = max(1, CHUNK // number)
    for first in range(0, draws, rows):
        drawn = min(rows, draws - first)
        shared = generator.standard_normal((drawn, causes)) @ directions.T
        alone = generator.standard_normal((drawn, number))
        yield np.abs((1 - own) ** 0.5 * shared + own**0.5 * alone)


def letters(different: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    """Assign letters to methods: two methods share one unless they differ significantly.

    Args:
        different: bool (methods, methods), symmetric: the pairs that differ significantly. Methods
            are in the order of the table, so that the best has an "a".

    Returns:
        the letters of each method; after "z" come "aa", "ab", ...

    Source: insert and absorb, Piepho, Journal of Computational and Graphical Statistics 13, 2004.

    >>> letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    [('a',), ('a', 'b'), ('b',)]
    """
    number = len(different)
    groups = [frozenset(range(number))]
    for one, other in zip(*np.nonzero(np.triu(different)), strict=True):
        groups = _split(groups, int(one), int(other))
    groups.sort(key=sorted)
    names = [_name(index) for index in range(len(groups))]
    return [
        tuple(name for name, group in zip(names, groups, strict=True) if method in group)
        for method in range(number)
    ]


def _split(groups: Sequence[frozenset[int]], one: int, other: int) -> list[frozenset[int]]:
    """Split the groups that contain both of two different methods; drop subsets of others."""
    parts: set[frozenset[int]] = set()
    for group in groups:
        parts |= {group - {one}, group - {other}} if {one, other} <= group else {group}
    return [part for part in parts if not any(part < larger for larger in parts)]


def _name(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    rest, last = divmod(index, len(ascii_lowercase))
    return (_name(rest - 1) if rest else "") + ascii_lowercase[last]
