"""What the report says of one bank: figures first, then where they come from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.comparison.classes import confusions, per_class, without_controls
from bench.comparison.frame import Comparison, cells, ends, probability, signed
from bench.comparison.notes import about_groups, caption
from bench.comparison.row import Row
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
"""Most methods that the headline names among those that cannot be told apart from the best."""


@dataclass(frozen=True)
class BankSection:
    """Everything about one bank."""

    name: str
    anchor: str
    headline: Sequence[str]
    failed: Sequence[str]
    """Methods that gave no rows, and why."""
    ranking: Grid
    figures: Mapping[str, Sequence[Figure]]
    """Part -> its charts."""
    costs: Grid
    classes: Grid | None
    confusions: Grid | None
    why_no_classes: str = ""
    published: Grid | None = None
    errors: Errors | None = None
    cases: Cases | None = None

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Anchor and name of each part that is there."""
        there = {
            ("ranking", "All methods"): True,
            ("forest", "Differences"): True,
            ("front", "Speed"): True,
            ("curves", "Training"): "curves" in self.figures,
            ("by-class", "Classes"): True,
            ("who", "Errors"): self.errors is not None,
            ("beside", "Published"): self.published is not None,
            ("branches", "Cases"): self.cases is not None,
        }
        return [part for part, is_there in there.items() if is_there]


def bank_section(
    comparison: Comparison, number: int, reporter: Reporter | None, thumbnails: bool = False
) -> BankSection:
    """Draw and tabulate one comparison; ``number`` keeps names apart on the page."""
    anchor = f"bank-{number}"
    known = comparison.opened is not None
    return BankSection(
        name=comparison.bank,
        anchor=anchor,
        headline=headline(comparison),
        failed=[f"{one.method} failed: {one.reason}" for one in comparison.failures],
        ranking=ranking(comparison, anchor),
        figures=_figures(comparison, anchor),
        costs=costs(comparison, anchor),
        classes=_classes(comparison, anchor) if known else None,
        confusions=_confusions(comparison, anchor) if known else None,
        why_no_classes="" if known else comparison.units,
        published=published(comparison, anchor),
        errors=errors(comparison, anchor, reporter, thumbnails),
        cases=cases(comparison, anchor, reporter),
    )


def _figures(comparison: Comparison, anchor: str) -> dict[str, list[Figure]]:
    """Every chart that has a part in the report and something to show."""
    found: dict[str, list[Figure]] = {}
    for name, one in charts().items():
        if isinstance(one, Chart) and one.part and (caption := one.caption(comparison)):
            figure = chart(f"{anchor}-{name}", caption, partial(one.draw, comparison), one.width)
            found.setdefault(one.part, []).append(figure)
    return found


def headline(comparison: Comparison) -> list[str]:
    """Say in a few sentences what came out."""
    best = comparison.rows[0]
    whole = " (it sees all queries of an episode at once)" if best.sees == "all queries" else ""
    said = [f"{best.title}{whole} is first with {100 * best.accuracy:.1f}%{_between(best)}."]
    if best.difference is not None:
        p_value = probability(best.p_value_corrected)
        decided = f"; p {p_value if p_value.startswith('<') else f'= {p_value}'} over"
        decided += (
            f" {best.decided_over}, after correction for {comparison.comparisons} comparisons"
        )
        said.append(
            f"That is {signed(best.difference)} points against {comparison.reference}, on the same"
            f" queries{decided if p_value else ''}."
        )
    alike = [row.title for row in comparison.rows[1:] if {*row.group} & {*best.group}]
    if alike:
        more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
        lettered = sum(bool(row.group) for row in comparison.rows) - 1
        said.append(
            f"{len(alike)} of {lettered} others cannot be told apart from it:"
            f" {', '.join(alike[:NAMED])}{more}."
        )
    if comparison.base is None:
        said.append("Nothing is decided over episodes alone.")
    return said


def _between(row: Row) -> str:
    """The widest interval, where one wider than over episodes is known."""
    if row.widest == "episodes":
        return ""
    return f"; its mean over {row.widest} lies within {ends(row.intervals[row.widest])}%"


def ranking(comparison: Comparison, anchor: str) -> Grid:
    """All rows with everything that is known of them."""
    lines = [
        {title: Cell(text) for title, text in rank_line(row, comparison).items()}
        | {title: Cell(text) for title, text in cells(comparison, row, "last").items()}
        for row in comparison.rows
    ]
    notes = [*caption([comparison]).splitlines(), *about_groups(comparison)]
    return grid_of(
        f"{anchor}-ranking",
        f"All methods on {comparison.bank}",
        lines,
        notes,
        csv_copy=render([comparison], "csv"),
    )


def costs(comparison: Comparison, anchor: str) -> Grid:
    """What each row took, stage by stage, as its run measured it."""
    lines = [
        {"method": Cell(row.title)}
        | {
            title: Cell(text)
            for title, text in cells(comparison, row, "costs", "last", "one bank").items()
        }
        for row in comparison.rows
    ]
    notes = [
        "As the runs measured it, alongside other work; fvbench throughput measures it alone."
        " Encoding is the method's part of a video; memory is the process's, or the GPU's.",
        *(
            ["Embedding is the backbone alone, without decoding."]
            if "embedding\nclips/s" in lines[0]
            else []
        ),
    ]
    return grid_of(f"{anchor}-costs", "What it costs", lines, notes)


def _classes(comparison: Comparison, anchor: str) -> Grid | None:
    if comparison.opened is None:
        return None
    methods = without_controls(comparison.methods)
    found = per_class(methods, comparison.opened)
    lines = [
        {"method": Cell(title)}
        | {
            one.name: Cell("") if math.isnan(value) else Cell(f"{100 * value:.0f}", value)
            for one in found
            for value in [one.accuracy[index]]
        }
        for index, title in enumerate(titles_without_controls(comparison))
    ]
    queries = [one.queries for one in found]
    notes = [
        f"Per cent of the queries of a class, {min(queries):,} to {max(queries):,} of each, on"
        f" {comparison.bank}; from the hardest class to the easiest."
    ]
    return grid_of(f"{anchor}-classes", "Accuracy by class", lines, notes, look="heat")


def _confusions(comparison: Comparison, anchor: str) -> Grid | None:
    if comparison.opened is None:
        return None
    best = comparison.rows[0].title
    found = confusions(comparison.methods[:1], comparison.opened, PAIRS)
    lines = [
        {
            "class": Cell(one.true),
            "confused with": Cell(one.predicted),
            "% of queries": Cell(f"{100 * one.share:.1f}", one.share),
            "queries": Cell(f"{one.queries:,}"),
        }
        for one in found
    ]
    notes = [f"By {best}; a percentage of the queries whose episode holds both classes."]
    if not lines:
        return None
    return grid_of(
        f"{anchor}-confusions", "Which classes are confused with which", lines, notes, look="bars"
    )
