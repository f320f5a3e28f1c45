"""Pictures of a case, after Figure 1 of the MASTAF paper's appendix."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from bench.report.cases.examination import Case, Degrees
from bench.report.cases.outcomes import MODELS, verdict
from bench.report.charts.style import INK, MUTED
from episodes.decoding.clips import Clip
from episodes.decoding.sampling import segment_centres

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RED = "#C1121F"
"""Colour of the true class, and of nothing else."""
GRID = "#C9CFD6"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
"""Colours of the classes; distinguishable without colour vision (Okabe and Ito, 2008)."""
SYMBOLS = {"mastaf-neighbor": "o", "mastaf-self": "s", "mastaf-cross": "D", "mastaf": "h"}
FRAMES = 8
"""Number of frames shown of each clip, evenly spaced."""
GAP = 0.04
"""Between frames, as a fraction of their width."""
BREADTH = FRAMES * (1 + GAP) - GAP
"""Of all frames, in widths of one."""
WIDTH, ANGLES_HEIGHT, STRIP_HEIGHT = 9.0, 4.5, 0.93
"""Sizes in inches."""
INNERMOST = 3
"""Radius of the first ring, in distances between rings: near the centre all angles look alike."""
MARK = 0.25
"""Size of a mark, in the same unit."""


def case_figure(case: Case) -> Figure:
    """Draw the angles of all models above, the frames of query and support below."""
    clips = [case.query_clip, *case.support_clips]
    low = STRIP_HEIGHT * len(clips)
    figure = Figure(figsize=(WIDTH, ANGLES_HEIGHT + low))
    grid = figure.add_gridspec(2, 1, height_ratios=[ANGLES_HEIGHT, low])
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_angles(above, case)
    _draw_answers(above, case)
    names = ["query", *(_numbered(case, way) for way in range(len(case.classes)))]
    for row, axes in enumerate(_rows(below, len(clips))):
        true = row in (0, case.label + 1)
        _draw_clip(axes, clips[row], names[row], RED if true else INK)
        if row == case.label + 1:
            frame = Rectangle((0, 0), BREADTH, 1, fill=False, edgecolor=RED, linewidth=3, zorder=4)
            axes.add_patch(frame).set_clip_on(False)
    return figure


def attention_figure(case: Case) -> Figure:
    """Draw MASTAF's attention over the frames of the query, its class and the nearest other."""
    rows = _attention_rows(case)
    figure = Figure(figsize=(WIDTH, 0.55 + STRIP_HEIGHT * len(rows)))
    weights = np.concatenate([factors.ravel() for _, _, factors in rows])
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.09])
    strips, bar = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    for axes, (name, clip, factors) in zip(_rows(strips, len(rows)), rows, strict=True):
        # Without colours of its own, so that those of the overlay can be read.
        grey = np.broadcast_to(clip.mean(axis=-1, keepdims=True).astype(np.uint8), clip.shape)
        _draw_clip(axes, grey, name, INK)
        for place, index in enumerate(segment_centres(len(clip), FRAMES)):
            shown = axes.imshow(
                factors[index * len(factors) // len(clip)],
                extent=_extent(place),
                vmin=weights.min(),
                vmax=weights.max(),
                cmap="inferno",
                alpha=0.55,
                interpolation="bilinear",
                zorder=2,
            )
    colours = figure.colorbar(shown, cax=bar.add_axes((0.0, 0.1, 0.2, 0.8)))
    colours.set_label("attention A: what a position is multiplied by", color=MUTED, fontsize=8)
    colours.ax.tick_params(labelsize=7, colors=MUTED)
    colours.outline.set_visible(False)
    return figure


def describe(case: Case) -> str:
    """Return a caption for both pictures of a case."""
    several = (
        f" Of the {case.shot} support videos of a class, the first is shown, under the attention of"
        " their mean."
    )
    maps = case.attention.query_self
    height, width = maps.shape[1:]
    pooled = f" Attention has one map of {height} x {width} for all frames: their time is pooled."
    weights = "" if case.trained else " The models are untrained: random weights."
    leads = sorted(lead(angles) for angles in case.angles.values())
    return (
        f"Bank {case.bank}, episode {case.query.episode}, query {case.query.query}, of class"
        f" {case.classes[case.label]}. Marks stand at the angle between the query's representation"
        " and the prototype of a class: 0 degrees is the same direction, 90 unrelated. MASTAF's"
        " angle is that of its two branches' concatenated representations. Frames:"
        f" {FRAMES} of the {len(case.query_clip)} that the models see; the true class is framed"
        f" in red. The nearest class is ahead of the second by {leads[0]:.2f} to {leads[-1]:.2f}"
        f" degrees.{several if case.shot > 1 else ''}{pooled if len(maps) == 1 else ''}{weights}"
    )


def _draw_angles(figure: SubFigure, case: Case) -> None:
    """One ring for each model, one mark for each class at its angle."""
    axes = PolarAxes(figure, (0.03, 0.04, 0.46, 0.88))
    figure.add_axes(axes)
    outermost = INNERMOST + len(MODELS) - 1
    axes.set(thetamin=0, thetamax=90, ylim=(0, outermost + 0.8))
    axes.set_thetagrids(range(0, 91, 15), labels=[f"{angle}°" for angle in range(0, 91, 15)])
    axes.set_rgrids(range(INNERMOST, outermost + 1), labels=[])
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines["polar"].set_visible(False)
    for spine in ("start", "end"):
        axes.spines[spine].set_color(GRID)
    for ring, model in enumerate(MODELS, start=INNERMOST):
        _draw_ring(axes, case, model, ring)
    axes.plot(0, 0, marker="*", markersize=17, color=INK, clip_on=False, zorder=5)


def _draw_ring(axes: "Axes", case: Case, model: str, ring: int) -> None:
    """Draw a model's marks; the one of the nearest class is filled."""
    angles = case.angles[model]
    for way, radius in enumerate(side_by_side(angles, ring)):
        nearest, true = way == angles.argmin(), way == case.label
        colour = COLOURS[way % len(COLOURS)]
        axes.plot(
            np.deg2rad(angles[way]),
            radius,
            marker=SYMBOLS[model],
            markersize=9.5,
            markerfacecolor=colour if nearest else "white",
            markeredgecolor=RED if true else colour,
            markeredgewidth=2.0 if true else 1.2,
            clip_on=False,
            zorder=3,
        )
        axes.annotate(
            str(way + 1),
            (np.deg2rad(angles[way]), radius),
            ha="center",
            va="center_baseline",
            fontsize=6.5,
            color="white" if nearest else INK,
            zorder=4,
        )


def side_by_side(angles: Degrees, ring: float) -> list[float]:
    """Return radii for marks on a ring, moved outwards where two would overlap.

    >>> side_by_side(np.array([10.0, 80.0, 10.5]), ring=3)
    [3.0, 3.0, 3.25]
    """
    radii = [float(ring)] * len(angles)
    for place, way in enumerate(order := np.argsort(angles)):
        near = [
            radii[other]
            for other in order[:place]
            if np.deg2rad(angles[way] - angles[other]) * ring < MARK
        ]
        while any(abs(radii[way] - radius) < MARK for radius in near):
            radii[way] += MARK
    return radii


def _draw_answers(figure: SubFigure, case: Case) -> None:
    """Write a table of the angles of the nearest and the true class, and a legend of classes."""
    axes = figure.add_axes((0.53, 0.04, 0.45, 0.88))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    axes.text(0, 1, "Angle between the query ★ and the prototypes", fontsize=10, color=INK)
    columns = {"model": 0.09, "nearest": 0.36, "true class": 0.55, "ahead by": 0.74, "": 0.9}
    for title, place in columns.items():
        axes.text(place, 0.9, title, fontsize=8, color=MUTED)
    for row, model in enumerate(reversed(MODELS)):
        height, angles = 0.81 - 0.1 * row, case.angles[model]
        axes.plot(0.035, height + 0.015, marker=SYMBOLS[model], markersize=10, color=MUTED)
        texts = (
            MODELS[model],
            f"{angles.argmin() + 1}: {angles.min():.2f}°",
            f"{case.label + 1}: {angles[case.label]:.2f}°",
            f"{lead(angles):.2f}°",
            verdict(case.right(model)),
        )
        for (title, place), text in zip(columns.items(), texts, strict=True):
            colour = RED if title == "true class" else INK
            weight = "bold" if text == verdict(False) else "normal"
            axes.text(place, height, text, fontsize=9, color=colour, weight=weight)
    axes.text(
        0.02, 0.43, "filled: the nearest class;  red: the true class", fontsize=8, color=MUTED
    )
    for way, name in enumerate(case.classes):
        true, height, colour = way == case.label, 0.34 - 0.07 * way, COLOURS[way % len(COLOURS)]
        axes.text(0.02, height, f"{way + 1}", fontsize=9, color=colour, weight="bold")
        text, colour = (f"{name} (true)", RED) if true else (name, INK)
        axes.text(0.09, height, text, fontsize=9, color=colour)


def lead(angles: Degrees) -> float:
    """Return the lead of the nearest class over the second, in degrees.

    >>> round(lead(np.array([30.0, 22.5, 22.75])), 6)
    0.25
    """
    first, second = np.sort(angles)[:2]
    return float(second - first)


def _attention_rows(case: Case) -> list[tuple[str, Clip, NDArray[np.float32]]]:
    """Title, clip and factors (T, H, W) of each row of the picture."""
    maps, rows = case.attention, [("query\nto itself", case.query_clip, case.attention.query_self)]
    for way, role in ((case.label, "true class"), (case.rival, "nearest wrong")):
        clip = case.support_clips[way]
        rows += [
            (f"query\ngiven {way + 1} ({role})", case.query_clip, maps.query_cross[way]),
            (f"{_numbered(case, way)}\nto itself", clip, maps.support_self[way]),
            (f"{_numbered(case, way)}\ngiven the query", clip, maps.support_cross[way]),
        ]
    return rows


def _numbered(case: Case, way: int) -> str:
    return f"{way + 1}  {case.classes[way]}"


def _rows(figure: SubFigure, count: int) -> "list[Axes]":
    """Axes in a column, with room for a name on their left."""
    height = 1 / count
    return [
        figure.add_axes((0.19, 1 - (row + 0.97) * height, 0.8, 0.94 * height))
        for row in range(count)
    ]


def _draw_clip(axes: "Axes", clip: Clip, name: str, colour: str) -> None:
    """Frames side by side, each a square of side 1, with a name on their left."""
    for place, index in enumerate(segment_centres(len(clip), FRAMES)):
        axes.imshow(centre_square(clip[index]), extent=_extent(place), zorder=1)
    axes.set(xlim=(0, BREADTH), ylim=(0, 1), anchor="W")
    axes.axis("off")
    axes.text(
        -0.15, 0.5, name, ha="right", va="center", fontsize=8.5, color=colour, linespacing=1.4
    )


def _extent(place: int) -> tuple[float, float, float, float]:
    left = place * (1 + GAP)
    return left, left + 1, 0, 1


def centre_square(frame: Clip) -> Clip:
    """Return the largest square at the centre of a frame (height, width, 3)."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return frame[top : top + side, left : left + side]
