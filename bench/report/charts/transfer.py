"""Accuracy on other banks against that on the first: rendered against real videos."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.comparison.across.summary import Across, BankResults, across_comparisons, named
from bench.report.charts.catalogue import ChartAcrossBanks
from bench.report.charts.style import ACCENT, INK, MUTED, SECOND, WIDE, add_legend, tidy, tip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 2
"""Panels side by side."""
APART = 0.25
"""Least distance between two names, as a fraction of an axis."""
NAME: dict[str, Any] = {"fontsize": 7, "color": INK}


def transfer_chart(across: Across, width: float = WIDE) -> Figure:
    """Draw a panel for each further bank: its accuracies against those of the first bank.

    Each mark is a method that both have. Its colour says whether the method depends on the order of
    frames; it is grey where the method does not say.
    """
    first, *others = across.places
    columns = min(COLUMNS, len(others)) if width >= WIDE else 1
    rows = math.ceil(len(others) / columns)
    figure = Figure(figsize=(width, 0.5 + 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, place in zip(grid.flat, others, strict=False):
        _panel(axes, first, place)
    for axes in list(grid.flat)[len(others) :]:
        axes.remove()
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=5, linestyle="none")
        for colour in (ACCENT, SECOND)
    ]
    add_legend(figure, handles, ["the order of frames counts", "it does not"])
    return figure


def _panel(axes: "Axes", first: BankResults, place: BankResults) -> None:
    marks = _marks(first, place)
    for mark in marks:
        colour = MUTED if mark.order_aware is None else ACCENT if mark.order_aware else SECOND
        look: dict[str, Any] = {"marker": "o", "markersize": 4.5, "alpha": 0.75}
        text = f"{mark.method}: {mark.x:.1f}%, {mark.y:.1f}%"
        axes.plot(mark.x, mark.y, color=colour, linestyle="none", gid=tip(text), **look)
    axes.margins(0.18)
    for mark in _worth_naming(marks):
        beside: dict[str, Any] = {"xytext": (-5, 3), "ha": "right"}
        if mark.x == max(other.x for other in marks):
            beside = {"xytext": (6, -3), "ha": "left"}
        axes.annotate(mark.method, (mark.x, mark.y), textcoords="offset points", **NAME, **beside)
    axes.set_xlabel(f"{first.title}, per cent")
    axes.set_ylabel(f"{place.title.replace(' (', chr(10) + '(')}, per cent")
    tidy(axes, "both")


class _Mark(NamedTuple):
    """A method and its accuracies on both banks, in per cent."""

    method: str
    x: float
    y: float
    order_aware: bool | None


def _marks(first: BankResults, place: BankResults) -> list[_Mark]:
    """The methods that both banks have, without controls, which would compress the others."""
    marks = []
    for index, one in enumerate(first.comparison.methods):
        other = place.order.get(named(one))
        if other is not None and not one.is_control:
            x = 100 * float(first.comparison.variation.means[index])
            y = 100 * float(place.comparison.variation.means[other])
            marks.append(_Mark(one.method, x, y, one.first.declared.order_aware))
    return marks


def _worth_naming(marks: Sequence[_Mark]) -> list[_Mark]:
    """The two best and the worst on either bank, unless their names would be too close."""
    by_x = sorted(marks, key=lambda mark: mark.x)
    by_y = sorted(marks, key=lambda mark: mark.y)
    wide, high = by_x[-1].x - by_x[0].x or 1, by_y[-1].y - by_y[0].y or 1
    named_marks: list[_Mark] = []
    for mark in (by_y[-1], by_x[-1], by_y[0], by_x[0], by_y[-2], by_x[-2]):
        apart = (
            abs(mark.x - other.x) / wide > APART or abs(mark.y - other.y) / high > APART / 2
            for other in named_marks
        )
        if mark not in named_marks and all(apart):
            named_marks.append(mark)
    return named_marks


CHARTS = {
    "transfer": ChartAcrossBanks(
        "accuracy on every other bank against that on the first",
        lambda comparisons: transfer_chart(across_comparisons(comparisons)),
    )
}
