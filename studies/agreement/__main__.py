"""Simulated pairs of banks whose methods have known skills: the table of docs/statistics.md.

python -m studies.agreement --worlds 150
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from bench.comparison.across.agreement import Side, kendall
from bench.statistics import Design, Units

METHODS = 28
CLASSES = (12, 8)
"""Units of the two banks: pairs of partner classes of `default`, and letters of AVLetters."""
EPISODES = 1000
Skills = NDArray[np.float64]
"""(methods,) probability of a right answer, a mean over classes."""


def side(skills: Skills, classes: int, draw: np.random.Generator) -> Side:
    """Draw a bank: each class is hard for all methods in common, and for each one in addition."""
    hard = draw.normal(0, 0.15, (classes, 1)) + draw.normal(0, 0.08, (classes, len(skills)))
    chance = np.clip(skills + hard, 0.02, 0.98)
    shown = np.argsort(draw.random((EPISODES, classes)), axis=1)[:, :5]
    right = draw.random((EPISODES, 5, 1)) < chance[shown]
    units = Units(np.sort(shown, axis=1).astype(np.int32), np.zeros(classes, np.int64), "classes")
    return Side(right.mean(axis=1), Design(units, units), str(draw.random()))


def worlds() -> Mapping[str, tuple[Skills, Skills]]:
    """Skills on two banks, by what distinguishes them."""
    apart = np.linspace(0.3, 0.7, METHODS)
    close = np.linspace(0.45, 0.55, METHODS)
    other = apart + np.random.default_rng(1).normal(0, 0.12, METHODS)
    equal = np.full(METHODS, 0.5)
    return {
        "equal methods": (equal, equal),
        "the same order, 1.5 points apart": (apart, apart),
        "the same order, 0.4 points apart": (close, close),
        "another order, up to 40 points apart": (apart, other),
    }


def main(
    number: Annotated[int, typer.Option("--worlds", help="Worlds of each kind.")] = 150,
) -> None:
    """Print how often the interval of Kendall's tau contains the truth."""
    lines = []
    for name, (one, other) in worlds().items():
        truth = 0.0 if np.ptp(one) == 0 else float(stats.kendalltau(one, other).statistic)
        taus = []
        for seed in range(number):
            draw = np.random.default_rng(seed)
            taus.append(kendall(side(one, CLASSES[0], draw), side(other, CLASSES[1], draw)))
        ends = [tau.interval for tau in taus if tau.interval is not None]
        covered = np.mean([low <= truth <= high for low, high in ends])
        width = np.mean([high - low for low, high in ends])
        mean = np.mean([tau.value for tau in taus])
        lines.append([name, f"{truth:.2f}", f"{mean:.2f}", f"{covered:.0%}", f"{width:.2f}"])
    headers = ["methods", "true tau", "mean tau", "interval holds it", "its width"]
    typer.echo(tabulate(lines, headers=headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    typer.run(main)
