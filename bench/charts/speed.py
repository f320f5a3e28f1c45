"""Accuracy against throughput, and which methods nothing beats in both."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench.charts.style import ACCENT, INK, MUTED, TEXT, WIDE, sheet, shortened, tidy
from bench.summary import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORTH = 0.05
PLACES = ((6, 5), (6, -12), (-6, 5), (-6, -12), (6, 16), (-6, 16), (6, -23), (-6, -23))
"""Where a name may stand beside its mark, in points, the best first."""


def front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other beats in accuracy and speed, the fastest first."""
    by_speed = sorted(rows, key=lambda row: (-row.episodes_per_s, -row.accuracy))
    best, found = -1.0, []
    for row in by_speed:
        if row.accuracy > best:
            best = row.accuracy
            found.append(row)
    return found


def better_than_guessing(comparison: Comparison) -> list[Row]:
    """Return the rows that are worth their time: some points above guessing, where there are any.

    The others would press the rest together.
    """
    way = comparison.contenders[0].first.identity.get("way")
    guessing = 1 / way if way else 0.0
    return [row for row in comparison.rows if row.accuracy > guessing + WORTH] or list(
        comparison.rows
    )


def speed_chart(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw accuracy over scoring speed; the Pareto front is joined and named."""
    figure, axes = sheet(width, 3.4 if width >= WIDE else 3.9)
    rows = better_than_guessing(comparison)
    best = front(rows)
    axes.step(
        [row.episodes_per_s for row in best],
        [100 * row.accuracy for row in best],
        where="post",
        color=ACCENT,
        linewidth=1,
        alpha=0.5,
    )
    for number, row in enumerate(comparison.rows):
        if row not in rows:
            continue
        on_front = row in best
        axes.plot(
            row.episodes_per_s,
            100 * row.accuracy,
            marker="o",
            linestyle="none",
            markersize=6 if on_front else 4.5,
            color=ACCENT if on_front else MUTED,
            alpha=1 if on_front else 0.6,
            gid=f"tip-{number}",
        )
    axes.set_xscale("log")
    axes.margins(x=0.2, y=0.12)
    axes.set(xlabel="scoring, episodes a second", ylabel="accuracy, per cent")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    tidy(axes, "both")
    axes.minorticks_off()
    _name(figure, axes, best, width)
    return figure


def _name(figure: Figure, axes: "Axes", rows: Sequence[Row], width: float) -> None:
    """Write names beside marks, each where it covers no other name and no mark."""
    figure.draw_without_rendering()
    marks = [axes.transData.transform((row.episodes_per_s, 100 * row.accuracy)) for row in rows]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in marks]
    for row in rows:
        for across, up in PLACES:
            text = axes.annotate(
                shortened(row.title, width),
                (row.episodes_per_s, 100 * row.accuracy),
                xytext=(across, up),
                textcoords="offset points",
                ha="left" if across > 0 else "right",
                fontsize=TEXT,
                color=INK,
            )
            box = text.get_window_extent()
            if _free(box, taken, figure):
                taken.append(box)
                break
            text.remove()


def _free(box: Bbox, taken: Sequence[Bbox], figure: Figure) -> bool:
    inside = box.x0 > 0 and box.x1 < figure.bbox.x1 and box.y1 < figure.bbox.y1
    return inside and not any(box.overlaps(other) for other in taken)
