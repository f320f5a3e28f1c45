"""The charts by name: those of one bank, which the report shows too, and those across banks.

A file in this folder adds charts by a dictionary ``CHARTS``; nothing else has to name them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

from matplotlib.figure import Figure

from bench.comparison.frame import Comparison
from bench.report.charts.style import WIDE
from episodes.banks.bank import Bank
from episodes.errors import UserError


@dataclass(frozen=True)
class ChartOfOneBank:
    """A chart of one bank."""

    about: str
    """What it shows, in a few words."""
    draw: Callable[[Comparison, float], Figure]
    """Takes the width in inches; raises `UserError` for runs that lack what it shows."""
    part: Literal["forest", "front", "curves", ""] = ""
    """The part of the report that shows it, if any."""
    caption: Callable[[Comparison], str | None] = lambda _: None
    """The report's caption; None where a comparison has nothing to show."""
    width: float = WIDE
    """Inches on the report's page."""


@dataclass(frozen=True)
class ChartAcrossBanks:
    """A chart of any number of banks."""

    about: str
    draw: Callable[[Sequence[Comparison]], Figure]


@cache
def charts() -> Mapping[str, ChartOfOneBank | ChartAcrossBanks]:
    """Return every chart by its name."""
    found: dict[str, ChartOfOneBank | ChartAcrossBanks] = {}
    for module in iter_modules(import_module(__package__).__path__):
        found |= getattr(import_module(f"{__package__}.{module.name}"), "CHARTS", {})
    return found


def draw(name: str, comparisons: Sequence[Comparison]) -> Figure:
    """Draw one of `charts`, of comparisons on a bank each.

    Raises:
        UserError: no such chart, more banks than it takes, or runs that lack what it shows.
    """
    if name not in charts():
        raise UserError(f"--chart {name!r} is not one of {', '.join(sorted(charts()))}")
    chart = charts()[name]
    if isinstance(chart, ChartAcrossBanks):
        return chart.draw(comparisons)
    if len(comparisons) > 1:
        banks = ", ".join(one.bank for one in comparisons)
        raise UserError(
            f"--chart {name} shows one bank, the runs are on {banks}; name the folder of one, or"
            " use --chart banks"
        )
    return chart.draw(comparisons[0], WIDE)


def bank_of(comparison: Comparison) -> Bank:
    """Return the bank of a comparison.

    Raises:
        UserError: it could not be rebuilt, so its videos and classes are not known.
    """
    if comparison.opened is None:
        raise UserError(f"classes of bank {comparison.bank} are not known here: {comparison.units}")
    return comparison.opened
