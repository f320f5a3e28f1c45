"""Accuracy by class, and the most frequent confusions."""

import numpy as np
from matplotlib.figure import Figure

from bench.comparison.classes import LEAST, confusions, per_class, without_controls
from bench.comparison.frame import Comparison
from bench.report.charts.catalogue import ChartOfOneBank, bank_of
from bench.report.charts.style import (
    ACCENT,
    INK,
    ROW,
    TEXT,
    WIDE,
    name_lines,
    sheet,
    shortened,
    tidy,
)
from episodes.errors import UserError

PAIRS = 12
"""Number of confused pairs that are shown."""


def class_chart(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw the accuracy of every method on every class as a heat map, the hardest class left."""
    kept = without_controls(comparison)
    classes = per_class(kept.methods, bank_of(comparison))
    methods = [row.title for row in kept.rows]
    figure, axes = sheet(max(width, 1.8 + 0.3 * len(classes)), 1.6 + ROW * len(methods))
    values = 100 * np.array([one.accuracy for one in classes]).T
    axes.pcolormesh(values, cmap="Blues", vmin=0, vmax=170, edgecolors="white", linewidth=0.5)
    for line, column in np.argwhere(np.isfinite(values)):
        axes.text(
            column + 0.5,
            line + 0.5,
            f"{values[line, column]:.0f}",
            ha="center",
            va="center",
            fontsize=TEXT - 2,
            color=INK,
        )
    names = [shortened(one.name, width) for one in classes]
    axes.set_xticks(np.arange(len(classes)) + 0.5, names, rotation=90)
    axes.set_yticks(np.arange(len(methods)) + 0.5, methods)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    tidy(axes)
    axes.grid(visible=False)
    return figure


def confusion_chart(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw how often the best method confuses one class with another, the worst pair on top."""
    pairs = confusions(comparison.methods[:1], bank_of(comparison), PAIRS)
    if not pairs:
        raise UserError(
            f"{comparison.rows[0].title} confuses no two classes that meet in {LEAST} queries or"
            f" more of bank {comparison.bank}; draw more episodes, or another chart"
        )
    figure, axes = sheet(width, 0.7 + ROW * len(pairs))
    name_lines(axes, [f"{pair.true} → {pair.predicted}" for pair in pairs])
    axes.barh(range(len(pairs)), [100 * pair.share for pair in pairs], height=0.6, color=ACCENT)
    method = shortened(comparison.rows[0].title, width)
    axes.set_xlabel(f"confused by {method}, per cent of the queries that were offered both")
    tidy(axes)
    return figure


CHARTS = {
    "classes": ChartOfOneBank("accuracy by class", class_chart),
    "confusions": ChartOfOneBank("the classes that the best method confuses most", confusion_chart),
}
"""The report has both as tables."""
