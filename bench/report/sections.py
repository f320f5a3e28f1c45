"""The part of the report on one bank."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.comparison.classes import confusions, per_class, without_controls
from bench.comparison.frame import Comparison, cells, ends, probability, signed
from bench.comparison.notes import about_groups, caption
from bench.comparison.show import rank_line
from bench.comparison.tables import render
from bench.machine.progress import Reporter
from bench.report.assembly import Figure, chart
from bench.report.charts.catalogue import ChartOfOneBank, charts
from bench.report.charts.classes import PAIRS
from bench.report.errors import Errors, errors
from bench.report.grid import Cell, Grid
from bench.report.illustrations import Cases, cases
from bench.report.published import published
from episodes.errors import counted

NAMED = 8
"""Most methods that the headline names as not distinguishable from the best."""


@dataclass(frozen=True)
class BankSection:
    """Everything about one bank."""

    comparison: Comparison
    anchor: str
    """Unique on the page; every name in the section begins with it."""
    headline: Sequence[str]
    ranking: Grid
    figures: Mapping[str, Sequence[Figure]]
    """Part of the section -> its charts."""
    costs: Grid
    by_class: Sequence[Grid]
    """Empty where the classes are not known."""
    published: Grid | None
    errors: Errors | None
    cases: Cases | None


def bank_section(
    comparison: Comparison, anchor: str, reporter: Reporter | None, thumbnails: bool
) -> BankSection:
    """Draw and tabulate one comparison; arguments as for `bench.report.page.render`."""
    return BankSection(
        comparison,
        anchor,
        headline=headline(comparison),
        ranking=ranking(comparison, anchor),
        figures=_figures(comparison, anchor),
        costs=costs(comparison, anchor),
        by_class=_by_class(comparison, anchor),
        published=published(comparison, anchor),
        errors=errors(comparison, anchor, reporter, thumbnails),
        cases=cases(comparison, anchor, reporter),
    )


def _figures(comparison: Comparison, anchor: str) -> dict[str, list[Figure]]:
    """The charts that belong to the report and have something to show, by part."""
    figures: dict[str, list[Figure]] = {}
    for name, one in charts().items():
        if isinstance(one, ChartOfOneBank) and one.part and (about := one.caption(comparison)):
            figure = chart(f"{anchor}-{name}", about, partial(one.draw, comparison), one.width)
            figures.setdefault(one.part, []).append(figure)
    return figures


def headline(comparison: Comparison) -> list[str]:
    """Summarise the result in a few sentences."""
    best = comparison.rows[0]
    whole = " (it sees all queries of an episode at once)" if best.sees == "all queries" else ""
    interval = ""
    if best.widest != "episodes":
        interval = f"; its mean over {best.widest} lies within {ends(best.intervals[best.widest])}%"
    sentences = [f"{best.title}{whole} is first with {100 * best.accuracy:.1f}%{interval}."]
    if best.difference is not None:
        decided = ""
        if p_value := probability(best.p_value_corrected):
            decided = (
                f"; p {p_value if p_value.startswith('<') else f'= {p_value}'} over"
                f" {best.decided_over}, after correction for"
                f" {counted(comparison.comparisons, 'comparison')}"
            )
        sentences.append(
            f"That is {signed(best.difference)} points against {comparison.reference}, on the same"
            f" queries{decided}."
        )
    if alike := [row.title for row in comparison.rows[1:] if {*row.group} & {*best.group}]:
        more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
        others = sum(bool(row.group) for row in comparison.rows) - 1
        # A row may be better than the reference, among fewer comparisons, and yet be alike here.
        several = comparison.pairs > 1
        corrected = f"After correction for all {comparison.pairs} pairs, " if several else ""
        sentences.append(
            f"{corrected}{len(alike)} of {others} others cannot be told apart from it:"
            f" {', '.join(alike[:NAMED])}{more}."
        )
    if comparison.base is None:
        sentences.append("Nothing is decided over episodes alone.")
    return sentences


def ranking(comparison: Comparison, anchor: str) -> Grid:
    """Tabulate everything that is known of each row."""
    lines = [rank_line(row, comparison) | cells(comparison, row, "last") for row in comparison.rows]
    return Grid(
        f"{anchor}-ranking",
        f"All methods on {comparison.bank}",
        list(lines[0]),
        [list(line.values()) for line in lines],
        [*caption([comparison]).splitlines(), *about_groups(comparison)],
        csv_copy=render([comparison], "csv"),
    )


def costs(comparison: Comparison, anchor: str) -> Grid:
    """Tabulate the cost of each row by stage, as its run measured it."""
    lines = [
        {"method": row.title} | cells(comparison, row, "costs", "last", "one bank")
        for row in comparison.rows
    ]
    notes = [
        "As the runs measured it, alongside other work; fvbench throughput measures it alone."
        " Encoding is the method's part of a video; memory is the process's, or the GPU's."
    ]
    if "embedding\nclips/s" in lines[0]:
        notes.append("Embedding is the backbone alone, without decoding.")
    values = [list(line.values()) for line in lines]
    return Grid(f"{anchor}-costs", "What it costs", list(lines[0]), values, notes)


def _by_class(comparison: Comparison, anchor: str) -> list[Grid]:
    """Accuracy by class, and the best method's confusions if it has any."""
    bank = comparison.opened
    if bank is None:
        return []
    kept = without_controls(comparison)
    classes = per_class(kept.methods, bank)
    lines: list[list[str | Cell]] = []
    for index, row in enumerate(kept.rows):
        values = [one.accuracy[index] for one in classes]
        heat = ["" if math.isnan(one) else Cell(f"{100 * one:.0f}", weight=one) for one in values]
        lines.append([row.title, *heat])
    numbers = [one.queries for one in classes]
    queries = " to ".join(f"{one:,}" for one in sorted({min(numbers), max(numbers)}))
    about_classes = (
        f"Per cent of the queries of a class, {queries} of each, on"
        f" {comparison.bank}; from the hardest class to the easiest."
    )
    about_confusions = (
        f"By {comparison.rows[0].title}; a percentage of the queries whose episode holds both"
        " classes."
    )
    confused = [
        (
            pair.true,
            pair.predicted,
            Cell(f"{100 * pair.share:.1f}", weight=pair.share),
            f"{pair.queries:,}",
        )
        for pair in confusions(comparison.methods[:1], bank, PAIRS)
    ]
    grids = [
        Grid(
            f"{anchor}-classes",
            "Accuracy by class",
            ["method", *(one.name for one in classes)],
            lines,
            [about_classes],
            look="heat",
        ),
        Grid(
            f"{anchor}-confusions",
            "Which classes are confused with which",
            ["class", "confused with", "% of queries", "queries"],
            confused,
            [about_confusions],
            look="bars",
        ),
    ]
    return [grid for grid in grids if grid.lines]
