"""The charts by name, each of comparisons."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from bench.comparison.across.summary import across_comparisons
from bench.comparison.classes import confusions, per_class, without_controls
from bench.comparison.show import titles_without_controls
from bench.comparison.summary import Comparison
from bench.report.charts.classes import class_chart, confusion_chart
from bench.report.charts.curves import curves_of, training_chart
from bench.report.charts.forest import accuracy_figure, accuracy_forest, difference_forest
from bench.report.charts.speed import speed_chart
from bench.report.charts.transfer import transfer_chart
from episodes.banks.bank import Bank
from episodes.errors import UserError

PAIRS = 12
"""Confused pairs that are shown."""


def draw(name: str, comparisons: Sequence[Comparison]) -> Figure:
    """Draw the chart of a name.

    Args:
        name: a name in `CHARTS`, which takes one bank; "banks", which takes any number; or
            "transfer", which takes at least two, the first of which the others are drawn over.
        comparisons: one for each bank.

    Raises:
        UserError: no such chart, more banks than it takes, or a bank that cannot be rebuilt.
    """
    if name == "banks":
        return accuracy_figure(comparisons)
    if name == "transfer":
        return transfer_chart(across_comparisons(comparisons))
    if name not in CHARTS:
        raise UserError(f"--chart {name!r} is none of {', '.join(['banks', 'transfer', *CHARTS])}")
    if len(comparisons) > 1:
        banks = ", ".join(one.bank for one in comparisons)
        raise UserError(
            f"--chart {name} shows one bank, the runs are on {banks}; name the folder of one, or"
            " take --chart banks"
        )
    return CHARTS[name](comparisons[0])


def _classes(comparison: Comparison) -> Figure:
    found = per_class(without_controls(comparison.contenders), _bank(comparison))
    return class_chart(found, titles_without_controls(comparison))


def _confusions(comparison: Comparison) -> Figure:
    """Of the best method alone."""
    return confusion_chart(confusions(comparison.contenders[:1], _bank(comparison), PAIRS))


def _bank(comparison: Comparison) -> Bank:
    if comparison.opened is None:
        raise UserError(f"classes of bank {comparison.bank} are not known here: {comparison.units}")
    return comparison.opened


def _training(comparison: Comparison) -> Figure:
    found = curves_of(comparison)
    if not found:
        raise UserError(
            "no run was trained, or the weights and train.csv are not where they were any more"
        )
    return training_chart(found)


CHARTS: dict[str, Callable[[Comparison], Figure]] = {
    "accuracy": accuracy_forest,
    "differences": difference_forest,
    "speed": speed_chart,
    "classes": _classes,
    "confusions": _confusions,
    "training": _training,
}
"""Charts of one bank; the report holds the same."""
