"""Accuracies and paired differences with their intervals: forest plots, and banks together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.comparison.frame import Comparison, accuracy_cell, points, signed
from bench.comparison.row import Interval
from bench.report.charts.catalogue import ChartAcrossBanks, ChartOfOneBank
from bench.report.charts.style import (
    ACCENT,
    HALF,
    INK,
    MUTED,
    NARROW,
    ROW,
    SECOND,
    TEXT,
    WIDE,
    add_legend,
    name_lines,
    sheet,
    shortened,
    tidy,
    tip,
)
from bench.statistics import KINDS, LEVEL, Kind
from episodes.errors import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THIN, THICK = 1.1, 5.0
"""Width in points of the bars for the widest interval, and for that over episodes."""
LONG = 25
"""A longer chart has its axis labelled above too."""
FAR_OFF = 4.0
"""Differences beyond this multiple of the median are outliers, which stand at the edge."""
LEAST_EDGE = 0.01
"""Least width of the axis of differences, for methods that answer alike."""
BESIDE: dict[str, Any] = {
    "textcoords": "offset points",
    "va": "center_baseline",
    "fontsize": TEXT,
    "color": MUTED,
}


def accuracy_forest(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw each row's accuracy: a thick bar for episodes, a thin one for videos and classes."""
    figure, axes = _lines(comparison, width)
    for height, row in enumerate(comparison.rows):
        text = f"{row.title}: {accuracy_cell(row)}%"
        _draw(axes, height, row.accuracy, row.intervals, ACCENT, text)
    axes.set_xlabel("accuracy, per cent")
    return figure


def difference_forest(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw each row's paired difference to the reference, in grey unless it is significant.

    Outliers such as guessing stand at the edge with their figure: drawn to scale, they would
    compress the others.
    """
    figure, axes = _lines(comparison, width)
    axes.axvline(0, color=MUTED, linewidth=1)
    intervals = [row.difference_intervals or {} for row in comparison.rows]
    ends = [max(map(abs, end)) for one in intervals for end in one.values()]
    edge = 100 * max(FAR_OFF * float(np.median(ends)) if ends else 0.0, LEAST_EDGE)
    for height, row in enumerate(comparison.rows):
        if row.difference is None or row.difference_intervals is None:
            axes.annotate("reference", (0, height), (4, 0), **BESIDE)
        elif 100 * abs(row.difference) > edge:
            _draw_outlier(axes, height, row.difference, edge)
        else:
            widest = row.difference_intervals[_widest(row.difference_intervals)]
            text = f"{row.title}: {signed(row.difference)} ({points(widest)})"
            colour = {"better": ACCENT, "worse": SECOND}.get(row.verdict, MUTED)
            _draw(axes, height, row.difference, row.difference_intervals, colour, text)
    axes.set_xlim(max(axes.get_xlim()[0], -1.1 * edge), min(axes.get_xlim()[1], 1.1 * edge))
    axes.set_xlabel(f"difference to {shortened(comparison.reference, width)}, points, paired")
    return figure


def _draw_outlier(axes: "Axes", height: int, difference: float, edge: float) -> None:
    """Write the figure at the edge in place of a mark beyond it."""
    side, marker, align = (-1, "<", "left") if difference < 0 else (1, ">", "right")
    axes.plot(side * edge, height, marker=marker, markersize=5, color=SECOND)
    axes.annotate(signed(difference), (side * edge, height), (-8 * side, 0), ha=align, **BESIDE)


def _lines(comparison: Comparison, width: float) -> "tuple[Figure, Axes]":
    """An empty chart with a line for each row, and a legend of the kinds of interval."""
    rows = comparison.rows
    figure, axes = sheet(width, 0.85 + ROW * len(rows))
    name_lines(axes, [shortened(row.title, width) for row in rows])
    tidy(axes)
    axes.tick_params(labeltop=len(rows) > LONG)
    labels = {f"{LEVEL:.0%} over episodes": THICK}
    if (widest := _widest(*(row.intervals for row in rows))) != "episodes":
        labels[f"over {widest}"] = THIN
    handles = [Line2D([], [], color=INK, linewidth=thickness) for thickness in labels.values()]
    add_legend(figure, handles, list(labels), columns=2 if width > NARROW else 1)
    return figure, axes


def _widest(*intervals: Mapping[Kind, Interval]) -> Kind:
    """The widest kind among intervals of one or several rows."""
    return max({kind for one in intervals for kind in one}, key=KINDS.index)


def _draw(
    axes: "Axes",
    height: int,
    value: float,
    intervals: Mapping[Kind, Interval],
    colour: str,
    text: str,
) -> None:
    """Draw one line: bars for the intervals and a mark at the value, in per cent."""
    look: dict[str, Any] = {"color": colour, "gid": tip(text)}
    bars: dict[Kind, float] = {_widest(intervals): THIN} | {"episodes": THICK}
    for kind, thickness in bars.items():
        ends = [100 * end for end in intervals[kind]]
        axes.plot(ends, [height, height], linewidth=thickness, solid_capstyle="butt", **look)
    axes.plot(100 * value, height, marker="|", markersize=11, **look)


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Distinguishable without colour vision (Okabe and Ito, 2008)."""
MARKERS = ("o", "s", "D", "^", "v")


def accuracy_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Draw the accuracy of every method with its interval, one mark for each bank."""
    methods = list(dict.fromkeys(row.title for one in comparisons for row in one.rows))
    figure, axes = sheet(WIDE, 1.3 + ROW * len(methods))
    offsets = np.linspace(-0.18, 0.18, len(comparisons)) if len(comparisons) > 1 else [0.0]
    for number, (one, offset) in enumerate(zip(comparisons, offsets, strict=True)):
        axes.errorbar(
            [100 * row.accuracy for row in one.rows],
            [methods.index(row.title) + offset for row in one.rows],
            xerr=[  # not symmetric where all answers are right, or none is
                [100 * (row.accuracy - row.interval[0]) for row in one.rows],
                [100 * (row.interval[1] - row.accuracy) for row in one.rows],
            ],
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=4,
            label=one.bank,
        )
    name_lines(axes, methods)
    axes.set_xlabel(f"accuracy, per cent, with {LEVEL:.0%} interval over episodes")
    tidy(axes)
    add_legend(figure)
    return figure


def _about_accuracy(comparison: Comparison) -> str:
    kinds = {row.widest for row in comparison.rows}
    widest = _widest(*(row.intervals for row in comparison.rows))
    thin = "" if widest == "episodes" else f", thin ones over other {widest}"
    if len(kinds) > 1:
        thin += ", as far as a method's runs support them"
    return (
        f"Accuracy on {comparison.bank}: thick bars show the uncertainty over other episodes of"
        f" these videos{thin}."
    )


def about_differences(comparison: Comparison) -> str | None:
    """Return a caption; None for a single method."""
    if len(comparison.rows) == 1:
        return None
    if comparison.base is None or not comparison.comparisons:
        return f"Difference from {comparison.reference}, query by query; nothing is decided."
    return (
        f"Difference from {comparison.reference}, query by query. Blue is better, orange worse,"
        f" grey not significant, after correction for"
        f" {counted(comparison.comparisons, 'comparison')}; each bar is for its difference alone,"
        " so a grey one may exclude 0."
    )


CHARTS = {
    "banks": ChartAcrossBanks(
        "accuracy of every method on all banks, with its interval over episodes", accuracy_figure
    ),
    "accuracy": ChartOfOneBank(
        "accuracy, with both kinds of interval", accuracy_forest, "forest", _about_accuracy, HALF
    ),
    "differences": ChartOfOneBank(
        "paired differences to the reference", difference_forest, "forest", about_differences, HALF
    ),
}
