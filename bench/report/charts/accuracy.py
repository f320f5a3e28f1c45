"""Accuracy on several banks, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bench.comparison.summary import Comparison
from bench.statistics import LEVEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Told apart by colour-blind people too (Okabe and Ito, 2008)."""
MARKERS = ("o", "s", "D", "^", "v")
INCHES_PER_METHOD = 0.24


def accuracy_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Draw the accuracy of every method with its interval, one mark for each bank."""
    methods = _methods(comparisons)
    figure = Figure(figsize=(7, 1.3 + INCHES_PER_METHOD * len(methods)), layout="constrained")
    axes = figure.add_subplot()
    offsets = np.linspace(-0.18, 0.18, len(comparisons)) if len(comparisons) > 1 else [0.0]
    for number, (one, offset) in enumerate(zip(comparisons, offsets, strict=True)):
        _marks(axes, one, methods, offset, number)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(f"accuracy, per cent, with {LEVEL:.0%} interval over episodes")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=len(comparisons), frameon=False, title="bank")
    return figure


def _methods(comparisons: Sequence[Comparison]) -> list[str]:
    """All methods, in the first comparison's order."""
    return list(dict.fromkeys(row.title for one in comparisons for row in one.rows))


def _marks(
    axes: "Axes", one: Comparison, methods: Sequence[str], offset: float, number: int
) -> None:
    rows = [row for row in one.rows if row.title in methods]
    heights = [methods.index(row.title) + offset for row in rows]
    half = [100 * (row.interval[1] - row.interval[0]) / 2 for row in rows]
    axes.errorbar(
        [100 * row.accuracy for row in rows],
        heights,
        xerr=half,
        fmt=MARKERS[number % len(MARKERS)],
        color=COLOURS[number % len(COLOURS)],
        markersize=4,
        capsize=0,
        label=one.bank,
    )
