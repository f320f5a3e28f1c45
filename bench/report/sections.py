"""The part of the report on one bank."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.comparison.classes import confusions, per_class, without_controls
from bench.comparison.frame import Comparison, cells, ends, probability, signed
from bench.comparison.notes import about_groups, caption
from bench.comparison.show import rank_line, titles_without_controls
from bench.comparison.tables import render
from bench.machine.progress import Reporter
from bench.report.assembly import Figure, chart
from bench.report.charts.catalogue import Chart, charts
from bench.report.charts.classes import PAIRS
from bench.report.errors import Errors, errors
from bench.report.grid import Cell, Grid, grid_of
from bench.report.illustrations import Cases, cases
from bench.report.published import published

NAMED = 8
"""Most methods that the headline names as not distinguishable from the best."""
COSTS = ("costs", "last", "one bank")
"""Where the columns of the costs belong otherwise: `bench.comparison.frame.Column.where`."""


@dataclass(frozen=True)
class BankSection:
    """Everything about one bank."""

    name: str
    anchor: str
    headline: Sequence[str]
    failed: Sequence[str]
    """Methods that failed, and why."""
    ranking: Grid
    figures: Mapping[str, Sequence[Figure]]
    """Part of the section -> its charts."""
    costs: Grid
    classes: Grid | None
    confusions: Grid | None
    why_no_classes: str = ""
    published: Grid | None = None
    errors: Errors | None = None
    cases: Cases | None = None

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Anchor and name of each part that is not empty."""
        parts = {
            ("ranking", "All methods"): True,
            ("forest", "Differences"): True,
            ("front", "Speed"): True,
            ("curves", "Training"): "curves" in self.figures,
            ("by-class", "Classes"): True,
            ("who", "Errors"): self.errors is not None,
            ("beside", "Published"): self.published is not None,
            ("branches", "Cases"): self.cases is not None,
        }
        return [part for part, shown in parts.items() if shown]


def bank_section(
    comparison: Comparison, number: int, reporter: Reporter | None, thumbnails: bool = False
) -> BankSection:
    """Draw and tabulate one comparison; ``number`` makes names unique on the page."""
    anchor = f"bank-{number}"
    return BankSection(
        name=comparison.bank,
        anchor=anchor,
        headline=headline(comparison),
        failed=[f"{one.method} failed: {one.reason}" for one in comparison.failures],
        ranking=ranking(comparison, anchor),
        figures=_figures(comparison, anchor),
        costs=costs(comparison, anchor),
        classes=_classes(comparison, anchor),
        confusions=_confusions(comparison, anchor),
        why_no_classes="" if comparison.opened is not None else comparison.units,
        published=published(comparison, anchor),
        errors=errors(comparison, anchor, reporter, thumbnails),
        cases=cases(comparison, anchor, reporter),
    )


def _figures(comparison: Comparison, anchor: str) -> dict[str, list[Figure]]:
    """The charts that belong to the report and have something to show, by part."""
    figures: dict[str, list[Figure]] = {}
    for name, one in charts().items():
        if isinstance(one, Chart) and one.part and (caption := one.caption(comparison)):
            figure = chart(f"{anchor}-{name}", caption, partial(one.draw, comparison), one.width)
            figures.setdefault(one.part, []).append(figure)
    return figures


def headline(comparison: Comparison) -> list[str]:
    """Summarise the result in a few sentences."""
    best = comparison.rows[0]
    whole = " (it sees all queries of an episode at once)" if best.sees == "all queries" else ""
    between = ""
    if best.widest != "episodes":
        ends_of_mean = ends(best.intervals[best.widest])
        between = f"; its mean over {best.widest} lies within {ends_of_mean}%"
    sentences = [f"{best.title}{whole} is first with {100 * best.accuracy:.1f}%{between}."]
    if best.difference is not None:
        decided = ""
        if p_value := probability(best.p_value_corrected):
            decided = (
                f"; p {p_value if p_value.startswith('<') else f'= {p_value}'} over"
                f" {best.decided_over}, after correction for {comparison.comparisons} comparisons"
            )
        sentences.append(
            f"That is {signed(best.difference)} points against {comparison.reference}, on the same"
            f" queries{decided}."
        )
    alike = [row.title for row in comparison.rows[1:] if {*row.group} & {*best.group}]
    if alike:
        more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
        others = sum(bool(row.group) for row in comparison.rows) - 1
        sentences.append(
            f"{len(alike)} of {others} others cannot be told apart from it:"
            f" {', '.join(alike[:NAMED])}{more}."
        )
    if comparison.base is None:
        sentences.append("Nothing is decided over episodes alone.")
    return sentences


def ranking(comparison: Comparison, anchor: str) -> Grid:
    """Tabulate everything that is known of each row."""
    lines = [rank_line(row, comparison) | cells(comparison, row, "last") for row in comparison.rows]
    notes = [*caption([comparison]).splitlines(), *about_groups(comparison)]
    return grid_of(
        f"{anchor}-ranking",
        f"All methods on {comparison.bank}",
        list(lines[0]),
        [list(map(Cell, line.values())) for line in lines],
        notes,
        csv_copy=render([comparison], "csv"),
    )


def costs(comparison: Comparison, anchor: str) -> Grid:
    """Tabulate the cost of each row by stage, as its run measured it."""
    titles = ["method", *cells(comparison, None, *COSTS)]
    lines = [
        [Cell(row.title), *map(Cell, cells(comparison, row, *COSTS).values())]
        for row in comparison.rows
    ]
    notes = [
        "As the runs measured it, alongside other work; fvbench throughput measures it alone."
        " Encoding is the method's part of a video; memory is the process's, or the GPU's."
    ]
    if "embedding\nclips/s" in titles:
        notes.append("Embedding is the backbone alone, without decoding.")
    return grid_of(f"{anchor}-costs", "What it costs", titles, lines, notes)


def _classes(comparison: Comparison, anchor: str) -> Grid | None:
    if comparison.opened is None:
        return None
    classes = per_class(without_controls(comparison.methods), comparison.opened)
    lines = []
    for index, title in enumerate(titles_without_controls(comparison)):
        values = [one.accuracy[index] for one in classes]
        cells_of_classes = [
            Cell("") if math.isnan(value) else Cell(f"{100 * value:.0f}", value) for value in values
        ]
        lines.append([Cell(title), *cells_of_classes])
    queries = [one.queries for one in classes]
    notes = [
        f"Per cent of the queries of a class, {min(queries):,} to {max(queries):,} of each, on"
        f" {comparison.bank}; from the hardest class to the easiest."
    ]
    titles = ["method", *(one.name for one in classes)]
    return grid_of(f"{anchor}-classes", "Accuracy by class", titles, lines, notes, look="heat")


def _confusions(comparison: Comparison, anchor: str) -> Grid | None:
    if comparison.opened is None:
        return None
    lines = [
        [
            Cell(pair.true),
            Cell(pair.predicted),
            Cell(f"{100 * pair.share:.1f}", pair.share),
            Cell(f"{pair.queries:,}"),
        ]
        for pair in confusions(comparison.methods[:1], comparison.opened, PAIRS)
    ]
    if not lines:
        return None
    best, about = comparison.rows[0].title, "Which classes are confused with which"
    notes = [f"By {best}; a percentage of the queries whose episode holds both classes."]
    titles = ("class", "confused with", "% of queries", "queries")
    return grid_of(f"{anchor}-confusions", about, titles, lines, notes, look="bars")
