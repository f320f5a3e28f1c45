"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
import re
import textwrap
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from bench.comparison.frame import (
    NOTHING,
    ORDER_AWARE,
    PEAK,
    Comparison,
    cells,
    decisive_interval,
    half,
    heading,
    probability,
    signed,
    verdict_cell,
)
from bench.comparison.notes import about_intervals, about_verdicts, caption
from bench.comparison.row import Row, flat
from episodes.errors import UserError

STYLES = {"terminal": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
"""Format -> tabulate's name for it."""
FORMATS = (*STYLES, "csv")
WIDE = {PEAK, "its ± over\nepisodes"}
"""Titles of columns that a narrow terminal omits."""
NARROWEST = 72
"""Least number of characters to which notes are wrapped, however narrow the table is."""


def check_format(style: str) -> None:
    """Refuse a format that is not in `FORMATS`.

    Raises:
        UserError: it is not; the message names those that are.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is not one of {', '.join(FORMATS)}")


def render(comparisons: Sequence[Comparison], style: str, width: int | None = None) -> str:
    """Render one table with a row for each method and columns for each bank.

    CSV has a line for each method and bank, with unrounded fractions.

    Args:
        comparisons: one for each bank, at least one; the first one's order of methods is kept.
        style: a name in `FORMATS`.
        width: of the terminal, in characters. Banks that do not fit side by side are set below
            each other, each in its own order of methods.

    Raises:
        UserError: no such format.
    """
    check_format(style)
    if style == "csv":
        records = [flat(row) for comparison in comparisons for row in comparison.rows]
        records += [
            {"bank": comparison.bank, "method": failure.method, "failed": failure.reason}
            for comparison in comparisons
            for failure in comparison.failures
        ]
        return csv_text(records)
    titles, lines = _grid(comparisons, named=len(comparisons) > 1)
    if style != "terminal" or width is None or _breadth(_body(titles, lines, style)) <= width:
        above = f"{comparisons[0].bank}\n" if style == "terminal" and len(comparisons) == 1 else ""
        return above + table(titles, lines, caption(comparisons), style)
    below = [f"{comparison.bank}\n{_narrow_body(comparison)}\n" for comparison in comparisons]
    return "\n".join([*below, f"{_wrapped(caption(comparisons), width)}\n"])


def _grid(comparisons: Sequence[Comparison], named: bool) -> tuple[list[str], list[list[str]]]:
    """Titles, and a line for each method: what it is, its figures on each bank, and its costs.

    Methods that failed on every bank come last. If ``named``, titles begin with the bank.
    """
    rows = distinct(comparisons)
    titles = list(heading(rows[0], comparisons))
    starts = {(row.method, row.key): list(heading(row, comparisons).values()) for row in rows}
    failed = [
        name for comparison in comparisons for name in sorted(f.method for f in comparison.failures)
    ]
    for name in failed:
        if all(name != method for method, _ in starts):
            starts[name, ()] = [name] + [NOTHING] * (len(titles) - 1)
    last = ("last",) if len(comparisons) > 1 else ("last", "one bank")
    for comparison in comparisons:
        bank = f"{_broken(comparison.bank)}\n" if named else ""
        titles += [f"{bank}{title}" for title in cells(comparison, None)]
    titles += cells(comparisons[0], None, *last)
    for (method, key), line in starts.items():
        found = [
            next((row for row in comparison.rows if row.key == key), None)
            for comparison in comparisons
        ]
        for comparison, row in zip(comparisons, found, strict=True):
            on_bank = cells(comparison, row)
            if row is None and any(failure.method == method for failure in comparison.failures):
                on_bank["accuracy %"] = "failed"
            line.extend(on_bank.values())
        line.extend(cells(comparisons[0], found[0], *last).values())
    return titles, list(starts.values())


def _narrow_body(comparison: Comparison) -> str:
    """The table of one bank for a narrow terminal: fewer columns, and narrow titles."""
    titles, lines = _grid([comparison], named=False)
    kept = [place for place, title in enumerate(titles) if title not in WIDE]
    return _body(
        [titles[place].replace("/", " per ").replace(" ", "\n") for place in kept],
        [[line[place] for place in kept] for line in lines],
        "terminal",
    )


def table(titles: Sequence[str], lines: Sequence[Sequence[str]], notes: str, style: str) -> str:
    """Set lines of cells under their titles, with notes below.

    Args:
        titles: of the columns, some of which may be alike; on a terminal, of several lines.
        lines: cells, one for each title.
        notes: set below the table.
        style: a name in `FORMATS`, other than csv.
    """
    body = _body(titles, lines, style)
    if style == "terminal":
        notes = _wrapped(notes, _breadth(body))
    if style == "latex":
        notes = "\n".join(f"% {line}" for line in notes.splitlines())
    gap = "\n\n" if style == "markdown" else "\n"
    return f"{body}{gap}{notes}\n"


def _body(titles: Sequence[str], lines: Sequence[Sequence[str]], style: str) -> str:
    if style != "terminal":
        titles = [title.replace("-\n", "-").replace("\n", " ") for title in titles]
    body = tabulate(
        lines,
        headers=titles,
        tablefmt=STYLES[style],
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(titles) - 1),
    )
    if style == "latex":
        body = body.replace("±", r"$\pm$").replace("−", "$-$")
        body = body.replace(ORDER_AWARE, r"$\rightarrow$")
    return body


def _breadth(text: str) -> int:
    return max(map(len, text.splitlines()))


def _wrapped(notes: str, width: int) -> str:
    """Wrap notes between words."""
    room = max(width, NARROWEST)
    return "\n".join(
        textwrap.fill(note, room, break_on_hyphens=False, subsequent_indent="  ")
        for note in notes.splitlines()
    )


def distinct(comparisons: Sequence[Comparison]) -> list[Row]:
    """One row for each method, from the first bank that has it."""
    rows = {row.key: row for comparison in reversed(comparisons) for row in comparison.rows}
    return [
        rows[key]
        for key in dict.fromkeys(row.key for comparison in comparisons for row in comparison.rows)
    ]


def render_declared(comparisons: Sequence[Comparison], style: str) -> str:
    """Render the comparisons of a declared family; arguments and errors as for `render`."""
    check_format(style)
    found = [(comparison.bank, each) for comparison in comparisons for each in comparison.declared]
    if style == "csv":
        return csv_text([{"bank": bank} | flat(each) for bank, each in found])
    several = len(comparisons) > 1
    titles = ["method", "against", "points", "interval", "± over\nepisodes", "p", "verdict"]
    lines = [
        [
            *([bank] if several else []),
            each.method,
            each.against,
            signed(each.difference or 0.0),
            decisive_interval(each),
            half(each.difference_interval),
            probability(each.p_value_corrected),
            verdict_cell(each),
        ]
        for bank, each in found
    ]
    notes = [note for comparison in comparisons for note in about_verdicts(comparison)]
    notes = [*about_intervals(comparisons), *notes]
    return table(["bank", *titles] if several else titles, lines, "\n".join(notes), style)


def _broken(bank: str) -> str:
    """A bank's name in several lines, so that its columns stay narrow."""
    return re.sub(r"-|\s(?=\()|\s(?=episodes)", lambda gap: gap[0].strip() + "\n", bank)


def csv_text(records: Sequence[Mapping[str, object]]) -> str:
    """Records as CSV, under all titles that occur."""
    text = io.StringIO()
    titles = dict.fromkeys(title for record in records for title in record)
    writer = csv.DictWriter(text, fieldnames=list(titles), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
