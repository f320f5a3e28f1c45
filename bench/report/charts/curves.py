"""Training curves, which `fvbench train` wrote beside the weights, by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from bench.comparison.frame import Comparison
from bench.report.cases.rebuilding import weights_of
from bench.report.charts.catalogue import ChartOfOneBank
from bench.report.charts.style import ACCENT, INK, MUTED, SECOND, TEXT, WIDE, shortened, tidy, tip
from episodes.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE = "train.csv"
ROW_INCHES = 1.35
SPAN = 2.0
"""Least range of the axis of accuracy, in points: a smaller one would magnify noise."""
SMOOTHED = 20
"""The loss is averaged over windows of this fraction of a training, to remove noise."""
HEADING: dict[str, Any] = {
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "fontsize": TEXT,
    "color": MUTED,
}
LOOK: dict[str, Any] = {"color": ACCENT, "linewidth": 1.2, "marker": "o", "markersize": 2.5}
Curves = Mapping[str, Sequence[pd.DataFrame]]
"""Name -> the curves of its trainings: ``step``, loss terms, ``validation_accuracy``."""


def curves_of(comparison: Comparison) -> Curves:
    """Return the curves of each row whose trained weights are still where they were.

    Raises:
        UserError: a curve is damaged.
    """
    curves: dict[str, list[pd.DataFrame]] = {}
    for row, one in zip(comparison.rows, comparison.methods, strict=True):
        for run in one.runs:
            try:
                weights = weights_of(run)
            except UserError:
                continue
            if weights is not None and (path := weights.parent / CURVE).is_file():
                curves.setdefault(row.title, []).append(_read(path))
    return curves


def _read(path: Path) -> pd.DataFrame:
    try:
        curve = pd.read_csv(path).astype(float)
        return curve.astype({"step": int, "validation_accuracy": float})
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"{path} is damaged: {error}; move it elsewhere") from error


def training_chart(curves: Curves, width: float = WIDE) -> Figure:
    """Draw a row for each name: validation accuracy on the left, summed losses on the right."""
    figure = Figure(figsize=(width, 0.7 + ROW_INCHES * len(curves)), layout="constrained")
    grid = figure.subplots(len(curves), 2, squeeze=False, sharex="row")
    for (left, right), (name, trainings) in zip(grid, curves.items(), strict=True):
        for number, curve in enumerate(trainings, start=1):
            gid = tip(f"{name}, training {number} of {len(trainings)}")
            known = curve.dropna(subset="validation_accuracy")
            left.plot(known["step"], 100 * known["validation_accuracy"], gid=gid, **LOOK)
            _draw_loss(right, curve, gid)
        left.set_title(shortened(name, width), loc="left", fontsize=TEXT, color=INK)
        low, high = left.get_ylim()
        missing = max(0.0, SPAN - (high - low)) / 2
        left.set_ylim(low - missing, high + missing)
        for axes in (left, right):
            tidy(axes, "y")
            axes.margins(x=0.02)
    for column, heading in enumerate(("validation accuracy, %", "loss")):
        grid[0, column].annotate(heading, (0, 1), (0, 20), **HEADING)
        grid[-1, column].set_xlabel(f"{heading}, by step", color=MUTED, fontsize=TEXT)
    return figure


def _draw_loss(axes: "Axes", curve: pd.DataFrame, gid: str) -> None:
    terms = curve.columns.drop(["step", "validation_accuracy"])
    known = curve.dropna(subset=terms)
    window = max(1, len(known) // SMOOTHED)
    loss = known[terms].sum(axis=1).rolling(window, center=True, min_periods=1).mean()
    axes.plot(known["step"], loss, color=SECOND, linewidth=1.2, gid=gid)


def _draw(comparison: Comparison, width: float) -> Figure:
    curves = curves_of(comparison)
    if not curves:
        raise UserError(
            "no run was trained, or its weights and train.csv are no longer where they were"
        )
    return training_chart(curves, width)


def _about(comparison: Comparison) -> str | None:
    if not curves_of(comparison):
        return None
    return (
        "How training went, a line for each seed: accuracy on the validation bank, and the sum of"
        " the losses, smoothed. The best checkpoint on validation is the one that was run."
    )


CHARTS = {
    "training": ChartOfOneBank(
        "validation accuracy and loss of trained methods", _draw, "curves", _about
    )
}
