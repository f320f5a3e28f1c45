"""Verdicts of the gate on methods whose true loss is known."""

from collections import Counter
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bench.comparison.gate.verdict import Outcome, Tolerance, change
from bench.statistics import Estimate, holm

QUERIES = 5
"""Of an episode."""
UNCHANGED = 32
"""Methods that lose nothing, beside the one that does."""


@dataclass(frozen=True)
class Words:
    """Shares of runs with each verdict."""

    planted: dict[Outcome, float]
    """On the method that loses accuracy."""
    false_alarm: float
    """WORSE on any of the methods that lose nothing."""
    old_false_alarm: float
    """The same by an interval that excludes zero, without correction."""
    unchanged: dict[Outcome, float]
    """On all methods that lose nothing."""


def words(loss: float, episodes: int, changed: float, runs: int, drop: float = 0.005) -> Words:
    """Simulate runs of the gate.

    Args:
        loss: accuracy that one method loses, a fraction.
        episodes: of the bank.
        changed: share of queries that become right or wrong, of every method.
        runs: number of simulated runs.
        drop: what is tolerated.
    """
    generator = np.random.default_rng([episodes, round(1e4 * changed), round(1e4 * loss)])
    planted, unchanged = Counter[Outcome](), Counter[Outcome]()
    alarms = old_alarms = 0
    tolerance = Tolerance(drop)
    for _ in range(runs):
        found = [_estimate(loss, episodes, changed, generator)]
        found += [_estimate(0.0, episodes, changed, generator) for _ in range(UNCHANGED)]
        p_values = holm([one.probability_positive for one in found])
        said = [
            change(one, episodes, p_value, tolerance).outcome
            for one, p_value in zip(found, p_values, strict=True)
        ]
        planted[said[0]] += 1
        unchanged.update(said[1:])
        alarms += "WORSE" in said[1:]
        old_alarms += any(one.interval()[1] < 0 and one.mean < -drop for one in found[1:])
    return Words(
        {word: count / runs for word, count in planted.items()},
        alarms / runs,
        old_alarms / runs,
        {word: count / runs / UNCHANGED for word, count in unchanged.items()},
    )


def _estimate(
    loss: float, episodes: int, changed: float, generator: np.random.Generator
) -> Estimate:
    """The paired difference of a run: queries change independently, as those of real methods do."""
    counts = generator.multinomial(episodes, _chances(loss, changed))
    points = np.arange(-QUERIES, QUERIES + 1) / QUERIES
    mean = float(counts @ points / episodes)
    variance = float(counts @ np.square(points - mean) / (episodes - 1))
    return Estimate(mean, (variance / episodes) ** 0.5, episodes - 1)


def _chances(loss: float, changed: float) -> NDArray[np.float64]:
    """Probabilities of -5, ..., 5 more right answers in an episode."""
    of_query = np.array([(changed + loss) / 2, 1 - changed, (changed - loss) / 2])
    return reduce(np.convolve, [of_query] * QUERIES, np.ones(1))
