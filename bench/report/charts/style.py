"""What all charts look like, and the few colours that the report gives another theme."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE = "#1b2430", "#5b6470", "#d5dae0"
ACCENT, SECOND = "#0068a9", "#c2510a"
"""Told apart by colour-blind people too, and in print."""
WIDE, HALF, NARROW = 7.2, 5.2, 3.7
"""Widths in inches: of a page, of one of two beside each other, and of a telephone."""
TEXT = 8.5
"""Points."""
ROW = 0.205
"""Inches that a line of text with its mark takes."""


def sheet(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of this size in inches with one set of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def tidy(axes: "Axes", grid: str = "x") -> None:
    """Take off what carries no information, and let the grid recede."""
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelsize=TEXT, colors=MUTED, labelcolor=MUTED)
    axes.grid(axis=grid, color=LINE, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=MUTED, fontsize=TEXT)


def name_lines(axes: "Axes", names: list[str]) -> None:
    """Write a name before each line of a chart, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for label in axes.get_yticklabels():
        label.set_color(INK)


def shortened(name: str, width: float) -> str:
    """Cut a long name so that it leaves room for the chart.

    >>> shortened("a-name-of-more-than-twenty-letters", NARROW)
    'a-name-of-more-tha…'
    """
    room = 19 if width <= NARROW else 34
    return name if len(name) <= room else name[: room - 1] + "…"
