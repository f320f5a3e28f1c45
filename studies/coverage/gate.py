"""What the gate says of methods whose true loss is known."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.comparison.gate.verdict import Outcome, Tolerance, change, no_loss
from bench.statistics import Estimate, holm

QUERIES = 5
"""Of an episode."""
UNCHANGED = 32
"""Methods that lose nothing, beside the one that does."""


@dataclass(frozen=True)
class Words:
    """Shares of runs."""

    planted: dict[Outcome, float]
    """In which the method that loses is called so."""
    false_alarm: float
    """In which any of the methods that lose nothing is called WORSE."""
    old_false_alarm: float
    """The same of an interval that leaves zero out, without correction."""
    unchanged: dict[Outcome, float]
    """Of all methods that lose nothing, those that are called so."""


def words(loss: float, episodes: int, changed: float, runs: int, drop: float = 0.005) -> Words:
    """Simulate runs of the gate.

    Args:
        loss: accuracy that one method loses, a fraction.
        episodes: of the bank.
        changed: share of queries that become right or wrong, of every method.
        runs: how many are simulated.
        drop: what is tolerated.
    """
    generator = np.random.default_rng([episodes, round(1e4 * changed), round(1e4 * loss)])
    planted, unchanged = Counter[Outcome](), Counter[Outcome]()
    alarms = old_alarms = 0
    tolerance = Tolerance(drop)
    for _ in range(runs):
        found = [_estimate(loss, episodes, changed, generator)]
        found += [_estimate(0.0, episodes, changed, generator) for _ in range(UNCHANGED)]
        p_values = holm([no_loss(one) for one in found])
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
    """The paired difference of a run: queries change one by one, as those of real methods do."""
    chances = _chances(loss, changed)
    counts = generator.multinomial(episodes, chances)
    points = np.arange(-QUERIES, QUERIES + 1) / QUERIES
    mean = float(counts @ points / episodes)
    variance = float(counts @ np.square(points - mean) / (episodes - 1))
    return Estimate(mean, (variance / episodes) ** 0.5, episodes - 1)


def _chances(loss: float, changed: float) -> NDArray[np.float64]:
    """How likely -5, ..., 5 more right answers are in an episode."""
    one = np.array([(changed + loss) / 2, 1 - changed, (changed - loss) / 2])
    whole = np.ones(1)
    for _ in range(QUERIES):
        whole = np.convolve(whole, one)
    return whole
