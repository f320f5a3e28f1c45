"""The frame of a comparison: its rows, and the columns that show them.

Tables, LaTeX, ``compare``, notebooks and the report show `COLUMNS`; a new column is one more line
there. The figures themselves are in `bench.comparison.row`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from pydantic import SerializeAsAny
from tabulate import tabulate

from bench.comparison.row import DeclaredComparison, Interval, Row, Versus
from bench.runs.by_method import MethodRuns
from bench.runs.schema import Failure
from bench.statistics import LEVEL, Kind, Variation
from episodes.banks.bank import Bank
from episodes.errors import UserError
from episodes.schema import Model

NOTHING = ""
ROUNDING = 1e-12
"""Two equal means may differ by as much."""
PEAK = "peak\nMB"
"""Title of a column that narrow terminals omit."""
TRANSDUCTIVE = "*"
"""Marks methods that see all queries of an episode at once."""
NAMES = " (names)"
"""Marks methods that are given the names of the classes."""
ORDER_AWARE = "→"
"""Marks methods whose score can depend on the order of a query's features in time."""


@dataclass(frozen=True)
class Comparison:
    """All methods on one bank, best accuracy first, and the one they are compared with."""

    bank: str
    bank_sha256: str
    reference: str
    """Title of the row that the others are compared with."""
    rows: Sequence[Row]
    declared: Sequence[DeclaredComparison]
    """The comparisons of a declared family; none if none was declared."""
    comparisons: int
    """Number of differences that p-values are corrected for."""
    pairs: int
    """Number of pairs of methods that letters are corrected for; 0 where there are no letters."""
    base: Kind | None
    """The widest kind of variation, trainings aside; None if only episodes can be drawn anew."""
    units: str
    """The number of classes and recordings behind the intervals, and which of them cannot vary."""
    methods: Sequence[MethodRuns] = field(repr=False, compare=False)
    """The methods' runs, in the order of ``rows``."""
    variation: Variation = field(repr=False, compare=False)
    """Variation of the methods' accuracies, in the order of ``rows``."""
    opened: Bank | None = field(repr=False, compare=False)
    """The bank, where it could be rebuilt."""
    failures: Sequence[Failure] = ()
    """Methods that were to be compared but gave no rows."""

    def of(self, title: str) -> Row | None:
        """Return the row with this title."""
        return next((row for row in self.rows if row.title == title), None)

    def _repr_html_(self) -> str:
        """The table that a notebook shows: accuracies and verdicts, without speeds."""
        lines = [{"method": row.title} | cells(self, row) for row in self.rows]
        html = tabulate(lines, headers="keys", tablefmt="html", disable_numparse=True)
        caption = escape(f"{self.bank}, {self.rows[0].episodes:,} episodes")
        return html.replace("<table>", f"<table><caption>{caption}</caption>", 1)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values, as ``summary.json`` holds it."""
        return Summary(
            bank=self.bank,
            bank_sha256=self.bank_sha256,
            interval_over="episodes",
            level=LEVEL,
            reference=self.reference,
            comparisons=self.comparisons,
            pairs=self.pairs,
            units=self.units,
            declared=list(self.declared),
            rows=list(self.rows),
            failed=[
                NoRows(method=failure.method, reason=failure.reason) for failure in self.failures
            ],
        ).content()


class NoRows(Model):
    """A method that failed."""

    method: str
    """Its name."""
    reason: str
    """The message."""


class Summary(Model):
    """``summary.json``: derived figures of the runs on a bank."""

    bank: str
    """The bank's title."""
    bank_sha256: str
    """Hash of its episodes."""
    interval_over: Literal["episodes"]
    """What varies in ``interval``."""
    level: float
    """Coverage of the intervals."""
    reference: str
    """Title of the row with which the others are compared."""
    comparisons: int
    """Size of the family for which p-values are corrected."""
    pairs: int
    """Pairs that letters tell apart."""
    units: str
    """Classes and videos, or why they are not known."""
    declared: list[DeclaredComparison]
    """Comparisons of a declared family."""
    rows: list[SerializeAsAny[Row]]
    """Best accuracy first."""
    failed: list[NoRows]
    """Methods without rows."""


def _rate(per_s: float) -> str:
    """A speed; empty where it is unknown: rows made elsewhere, features from the store."""
    return NOTHING if math.isnan(per_s) else f"{per_s:,.0f}"


def marked(row: Row) -> str:
    """The method's name, with marks that `bench.comparison.notes.about_marks` explains."""
    transductive = TRANSDUCTIVE if row.sees == "all queries" else ""
    names = NAMES if row.reads_names else ""
    return row.name + transductive + names + (f" {ORDER_AWARE}" if row.order_aware else "")


def heading(row: Row, comparisons: Sequence[Comparison]) -> dict[str, str]:
    """The first cells of a row, title -> cell: the method, and what distinguishes it."""
    rows = [other for comparison in comparisons for other in comparison.rows]
    line = {"method": marked(row)}
    if any(other.trained_words != "–" for other in rows):
        line["trained"] = row.trained_words
    if len({other.backbone for other in rows}) > 1:
        line["backbone"] = row.backbone or NOTHING
    return line


def half(interval: Interval | None) -> str:
    """Half the width of an interval in points; empty where it is unknown."""
    return _if_known(interval, lambda low, high: f"{100 * (high - low) / 2:.1f}")


def _if_known(interval: Interval | None, written: Callable[[float, float], str]) -> str:
    """Format an interval; empty if it is missing, or NaN as after a single episode."""
    return NOTHING if interval is None or math.isnan(interval[0]) else written(*interval)


def over_episodes(row: Row) -> str:
    """Half the interval over episodes; one end of it where all answers are right, or none is."""
    low, high = (100 * end for end in row.interval)
    if row.accuracy in {0.0, 1.0} and low < high:
        return f"≥ {low:.2f}" if row.accuracy else f"≤ {high:.2f}"
    return half(row.interval)


def accuracy_cell(row: Row) -> str:
    """Accuracy in per cent and its widest interval."""
    return f"{100 * row.accuracy:.1f} ({ends(row.intervals[row.widest])})"


def ends(interval: Interval | None) -> str:
    """The ends of an interval in per cent; empty where it is unknown."""
    return _if_known(interval, lambda low, high: f"{100 * low:.0f} to {100 * high:.0f}")


def _seeds(row: Row) -> str:
    """Standard deviation over training seeds, and the range, in per cent."""
    if row.seed_deviation is None or row.seed_range is None:
        return "1 seed" if row.seeds else NOTHING
    low, high = (100 * end for end in row.seed_range)
    return f"{100 * row.seed_deviation:.2f} ({low:.1f} to {high:.1f})"


def difference_cell(row: Row) -> str:
    """Difference to the reference in points."""
    return "reference" if row.difference is None else signed(row.difference)


def decisive_interval(versus: Versus) -> str:
    """The interval that decides on a difference, in points."""
    if versus.decided_over is None:
        return NOTHING
    return points((versus.difference_intervals or {})[versus.decided_over])


def verdict_cell(versus: Versus) -> str:
    """The verdict; "undecided" with the smallest difference that would have been significant."""
    if versus.smallest is None:
        return versus.verdict
    return f"{versus.verdict} < {100 * versus.smallest:.1f}"


def points(interval: Interval | None) -> str:
    """The ends of a difference's interval in points; empty where it is unknown."""
    return _if_known(interval, lambda low, high: f"{signed(low)} to {signed(high)}")


def signed(fraction: float) -> str:
    """A difference in points with its sign.

    >>> signed(0.021), signed(-0.0004), signed(0.73 - 0.7300000000000001)
    ('+2.1', '−0.0', '+0.0')
    """
    return f"{'−' if fraction < -ROUNDING else '+'}{100 * abs(fraction):.1f}"


def probability(value: float | None) -> str:
    """A probability with three decimals; "<0.001" and ">0.999" beyond them."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "<0.001"
    return ">0.999" if 0.999 < value < 1 else f"{value:.3f}"


def _shortened(letters: Sequence[str]) -> str:
    """Letters, with three or more in alphabetical sequence as a range: "abcdg" -> "a-dg"."""
    runs: list[str] = []
    for letter in letters:
        if runs and ord(letter) == ord(runs[-1][-1]) + 1:
            runs[-1] += letter
        else:
            runs.append(letter)
    return "".join(f"{run[0]}-{run[-1]}" if len(run) >= 3 else run for run in runs)


def has_letters(comparison: Comparison) -> bool:
    """Whether there are groups, few enough for one letter each."""
    return comparison.pairs > 0 and all(
        len(letter) == 1 for row in comparison.rows for letter in row.group
    )


@dataclass(frozen=True)
class Column:
    """How a figure is shown in tables, LaTeX, ``compare`` and the report."""

    name: str
    """The name by which ``--columns`` chooses it."""
    title: str
    """Title with the unit; ``{reference}`` stands for the row that others are compared with."""
    cell: Callable[[Row], str]
    is_shown: Callable[[Comparison], bool] = lambda _: True
    """Whether a comparison has it."""
    where: Literal["everywhere", "compare", "last", "one bank", "costs"] = "everywhere"
    """"compare": only in ``compare`` and the report; "last": once in a table, after all banks;
    "one bank": there too, in tables of a single bank; "costs": only in the report's costs, which
    also show "last" and "one bank"."""


def _is_decided(comparison: Comparison) -> bool:
    return comparison.base is not None and _has_several(comparison)


def _has_several(comparison: Comparison) -> bool:
    return len(comparison.rows) > 1


COLUMNS = (
    Column("accuracy", "accuracy %", lambda row: f"{100 * row.accuracy:.1f}"),
    Column(
        "interval",
        "interval",
        lambda row: ends(row.intervals.get(row.widest)),
        lambda comparison: comparison.base is not None,
    ),
    Column("episodes", "± over\nepisodes", over_episodes),
    Column(
        "seeds",
        "sd over seeds\n(range)",
        _seeds,
        lambda comparison: any(row.seed_deviation is not None for row in comparison.rows),
    ),
    Column("difference", "vs {reference}", difference_cell, _has_several),
    Column("difference-interval", "its\ninterval", decisive_interval, _is_decided),
    Column(
        "difference-episodes",
        "its ± over\nepisodes",
        lambda row: half(row.difference_interval),
        _has_several,
    ),
    Column("p", "p", lambda row: probability(row.p_value_corrected), _is_decided, "compare"),
    Column("verdict", "verdict", verdict_cell, _is_decided),
    Column("group", "group", lambda row: _shortened(row.group), has_letters, "compare"),
    Column("speed", "scoring\nepisodes/s", lambda row: _rate(row.episodes_per_s), where="last"),
    Column("peak", PEAK, lambda row: f"{row.peak_memory_bytes / 1e6:,.0f}", where="one bank"),
    Column(
        "embedding",
        "embedding\nclips/s",
        lambda row: _rate(row.embed_clips_per_s),
        lambda comparison: any(not math.isnan(row.embed_clips_per_s) for row in comparison.rows),
        "costs",
    ),
    Column(
        "encoding", "encoding\nclips/s", lambda row: _rate(row.encode_clips_per_s), where="costs"
    ),
    Column("device", "device", lambda row: row.device, where="costs"),
)
"""All columns, by importance: the order in every output."""


def columns(names: Sequence[str]) -> list[Column]:
    """Return the columns with these names.

    Raises:
        UserError: there is no such column.
    """
    known = {column.name: column for column in COLUMNS}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--columns {unknown[0]!r} is not one of {', '.join(known)}")
    return [known[name] for name in names]


def cells(comparison: Comparison, row: Row | None, *where: str) -> dict[str, str]:
    """Cells of a row on one bank, title -> cell.

    Args:
        comparison: of the bank.
        row: of that bank; if None, cells are empty.
        where: values of `Column.where` to include; "everywhere" if none is named.
    """
    return {
        column.title.format(reference=comparison.reference): NOTHING
        if row is None
        else column.cell(row)
        for column in COLUMNS
        if column.where in (where or ("everywhere",)) and column.is_shown(comparison)
    }
