"""Accuracy against throughput, and the methods on the Pareto front."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from bench.comparison.frame import Comparison
from bench.comparison.row import Row
from bench.report.charts.catalogue import ChartOfOneBank
from bench.report.charts.style import ACCENT, INK, MUTED, TEXT, WIDE, sheet, shortened, tidy, tip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORTH = 0.05
"""Least accuracy above chance that makes a method's speed worth showing."""
NEAR = ((6, 5), (6, -12), (-6, 5), (-6, -12))
"""Positions of a name beside its mark, in points, the best first."""
FAR = ((16, 18), (-16, 18), (16, -24), (-16, -24), (26, 32), (-26, 32), (26, -38), (-26, -38))
"""Positions joined to the mark by a line, on a wide chart, if none nearby is free."""
LINE = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkB": 3}
FEW = 8
"""Most methods of which all are named, not those on the front alone."""
DECADES, NARROW_DECADES = 1000, 100
"""Ratio of fastest to slowest above which powers of ten suffice as ticks: wide, narrow chart."""


def front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other beats in accuracy and speed, the fastest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (-row.episodes_per_s, -row.accuracy)):
        if not best or row.accuracy > best[-1].accuracy:
            best.append(row)
    return best


def _on_one_machine(comparison: Comparison) -> list[Row]:
    """Return the rows of the most frequent device and computer: others do not compare."""
    machines = {
        row.title: (row.device, one.first.circumstances.computer)
        for row, one in zip(comparison.rows, comparison.methods, strict=True)
    }
    rows = [row for row in comparison.rows if not math.isnan(row.episodes_per_s)]
    rows = rows or list(comparison.rows)
    usual, _ = Counter(machines[row.title] for row in rows).most_common(1)[0]
    return [row for row in rows if machines[row.title] == usual]


def comparable(comparison: Comparison) -> list[Row]:
    """Return the rows whose speeds can be compared.

    If any are clearly better than chance, the others are left out: they would compress the chart.
    """
    alike = _on_one_machine(comparison)
    way = comparison.methods[0].first.identity.way
    guessing = 1 / way if way else 0.0
    return [row for row in alike if row.accuracy > guessing + WORTH] or alike


def speed_chart(comparison: Comparison, width: float = WIDE) -> Figure:
    """Draw accuracy over scoring speed; the Pareto front is joined, it or all methods are named."""
    figure, axes = sheet(width, 3.4 if width >= WIDE else 3.9)
    rows = comparable(comparison)
    best = front(rows)
    axes.step(
        [row.episodes_per_s for row in best],
        [100 * row.accuracy for row in best],
        where="post",
        color=ACCENT,
        linewidth=1,
        alpha=0.5,
    )
    for row in rows:
        on_front = row in best
        axes.plot(
            row.episodes_per_s,
            100 * row.accuracy,
            marker="o",
            linestyle="none",
            markersize=6 if on_front else 4.5,
            color=ACCENT if on_front else MUTED,
            alpha=1 if on_front else 0.6,
            gid=tip(
                f"{row.title}: {100 * row.accuracy:.1f}%, {row.episodes_per_s:,.0f} episodes/s"
            ),
        )
    axes.set_xscale("log")
    axes.margins(x=0.2, y=0.12)
    axes.set(xlabel="scoring, episodes a second", ylabel="accuracy, per cent")
    slowest, fastest = axes.get_xlim()
    # Where speeds are alike, powers of ten alone would give the axis one tick, or none.
    many = DECADES if width >= WIDE else NARROW_DECADES
    between = (1, 2, 5) if width >= WIDE or fastest < 10 * slowest else (1, 3)
    steps = (1,) if fastest > many * slowest else between
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    tidy(axes, "both")
    axes.minorticks_off()
    _name(figure, axes, rows if len(rows) <= FEW else best, rows, width)
    return figure


def _name(
    figure: Figure, axes: "Axes", rows: Sequence[Row], marked: Sequence[Row], width: float
) -> None:
    """Write names beside marks, covering no other name and as few marks as possible."""
    figure.draw_without_rendering()
    marks = [_box(axes, row) for row in marked]
    taken = [_box(axes, row) for row in rows]
    for row in rows:
        free: list[tuple[int, Annotation, Bbox]] = []
        for place in NEAR + FAR if width >= WIDE else NEAR:
            text = axes.annotate(
                shortened(row.title, width),
                (row.episodes_per_s, 100 * row.accuracy),
                xytext=place,
                textcoords="offset points",
                ha="left" if place[0] > 0 else "right",
                fontsize=TEXT,
                color=INK,
                arrowprops=LINE if place in FAR else None,
            )
            text.get_window_extent()  # updates its position
            box = Text.get_window_extent(text)  # without its line
            inside = axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 and axes.bbox.y0 < box.y0
            if inside and not any(box.overlaps(other) for other in taken):
                free.append((box.count_overlaps(marks), text, box))
            else:
                text.remove()
        free.sort(key=lambda candidate: candidate[0])
        taken += [box for _, _, box in free[:1]]
        for _, text, _ in free[1:]:
            text.remove()


def _box(axes: "Axes", row: Row) -> Bbox:
    x, y = axes.transData.transform((row.episodes_per_s, 100 * row.accuracy))
    return Bbox.from_bounds(x - 5, y - 5, 10, 10)


def _about(comparison: Comparison) -> str:
    rows = comparable(comparison)
    names = ", ".join(row.title for row in front(rows))
    alike = len(_on_one_machine(comparison))
    weak, elsewhere = alike - len(rows), len(comparison.rows) - alike
    note = f" Not shown: {weak} hardly better than guessing." if weak else ""
    note += f" Not shown: {elsewhere} run on another machine, or untimed." if elsewhere else ""
    return (
        f"Accuracy against speed of scoring, {rows[0].device}. No method beats these in both:"
        f" {names}.{note}"
    )


CHARTS = {"speed": ChartOfOneBank("accuracy against scoring speed", speed_chart, "front", _about)}
