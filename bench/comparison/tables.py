"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

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

Format = Literal["terminal", "markdown", "latex", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
STYLES = {"terminal": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
NARROWEST = 72
"""Characters to which notes are wrapped at least, however narrow the table is."""


def check_format(style: str) -> None:
    """Refuse what is not in `FORMATS`.

    Raises:
        UserError: naming those that are.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is not one of {', '.join(FORMATS)}")


def render(comparisons: Sequence[Comparison], style: str, width: int | None = None) -> str:
    """Render one table with a row for each method and columns for each bank.

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
        return _csv(comparisons)
    lines = [_line(row, comparisons) for row in distinct(comparisons)]
    lines += _failed(comparisons, lines[0])
    if style != "terminal" and len(comparisons) == 1:  # the notes name the bank
        bank = f"{_broken(comparisons[0].bank)}\n"
        lines = [{title.removeprefix(bank): cell for title, cell in line.items()} for line in lines]
    side_by_side = _body(lines, style)
    if style != "terminal" or width is None or _breadth(side_by_side) <= width:
        return table(lines, caption(comparisons), style)
    below = [f"{one.bank}\n{_body(_short_lines(one), style)}\n" for one in comparisons]
    return "\n".join([*below, f"{_wrapped(caption(comparisons), width)}\n"])


def _failed(comparisons: Sequence[Comparison], like: Mapping[str, str]) -> list[dict[str, str]]:
    """Lines of methods that failed and have no row on any bank; the notes say why."""
    known = {row.method for one in comparisons for row in one.rows}
    lines: dict[str, dict[str, str]] = {}
    for one in comparisons:
        for name in sorted({failure.method for failure in one.failures} - known):
            line = lines.setdefault(name, dict.fromkeys(like, NOTHING) | {"method": name})
            line[f"{_broken(one.bank)}\naccuracy %"] = "failed"
    return list(lines.values())


def _short_lines(one: Comparison) -> list[dict[str, str]]:
    """The table of one bank for a narrow terminal: fewer columns, and narrow titles."""
    bank = f"{_broken(one.bank)}\n"
    return [
        {
            title.removeprefix(bank).replace("/", " per ").replace(" ", "\n"): cell
            for title, cell in _line(row, [one]).items()
            if title not in {PEAK, f"{bank}its ± over\nepisodes"}
        }
        for row in one.rows
    ]


def table(lines: Sequence[Mapping[str, str]], notes: str, style: str) -> str:
    """Set lines of cells under their titles, with notes below.

    Args:
        lines: title of the column -> cell; on a terminal, a title may have several lines.
        notes: set below the table.
        style: a name in `FORMATS`, other than csv.
    """
    body = _body(lines, style)
    if style == "terminal":
        notes = _wrapped(notes, _breadth(body))
    if style == "latex":
        notes = "\n".join(f"% {line}" for line in notes.splitlines())
    gap = "\n\n" if style == "markdown" else "\n"
    return f"{body}{gap}{notes}\n"


def _body(lines: Sequence[Mapping[str, str]], style: str) -> str:
    headers = list(lines[0])
    if style != "terminal":
        headers = [title.replace("-\n", "-").replace("\n", " ") for title in headers]
    body = tabulate(
        [list(line.values()) for line in lines],
        headers=headers,
        tablefmt=STYLES[style],
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )
    if style == "latex":
        body = body.replace("±", r"$\pm$").replace("−", "$-$")
        body = body.replace(ORDER_AWARE, r"$\rightarrow$")
    return body


def _breadth(text: str) -> int:
    return max(map(len, text.splitlines()))


def _wrapped(notes: str, width: int) -> str:
    """Wrap notes so that a terminal breaks no word."""
    room = max(width, NARROWEST)
    return "\n".join(
        textwrap.fill(note, room, break_on_hyphens=False, subsequent_indent="  ")
        for note in notes.splitlines()
    )


def distinct(comparisons: Sequence[Comparison]) -> list[Row]:
    """One row for each method, from the first bank that has it."""
    rows = {row.key: row for one in reversed(comparisons) for row in one.rows}
    return [rows[key] for key in dict.fromkeys(row.key for one in comparisons for row in one.rows)]


def _line(row: Row, comparisons: Sequence[Comparison]) -> dict[str, str]:
    """One row of the table: column title -> cell."""
    line = heading(row, comparisons)
    for one in comparisons:
        found = next((other for other in one.rows if other.key == row.key), None)
        line |= {f"{_broken(one.bank)}\n{title}": cell for title, cell in cells(one, found).items()}
        if found is None and any(failure.method == row.method for failure in one.failures):
            line[f"{_broken(one.bank)}\naccuracy %"] = "failed"
    if len(comparisons) == 1:
        return line | cells(comparisons[0], row, "last", "one bank")
    on_first = next((other for other in comparisons[0].rows if other.key == row.key), None)
    return line | cells(comparisons[0], on_first, "last")


def render_declared(comparisons: Sequence[Comparison], style: str) -> str:
    """Render the comparisons of a declared family; arguments and errors as for `render`."""
    check_format(style)
    found = [(one.bank, each) for one in comparisons for each in one.declared]
    if style == "csv":
        return csv_text([{"bank": bank} | flat(each) for bank, each in found])
    lines = [
        ({"bank": bank} if len(comparisons) > 1 else {})
        | {
            "method": each.method,
            "against": each.against,
            "points": signed(each.difference or 0.0),
            "interval": decisive_interval(each),
            "± over\nepisodes": half(each.difference_interval),
            "p": probability(each.p_value_corrected),
            "verdict": verdict_cell(each),
        }
        for bank, each in found
    ]
    notes = [note for one in comparisons for note in about_verdicts(one)]
    return table(lines, "\n".join([*about_intervals(comparisons), *notes]), style)


def _broken(bank: str) -> str:
    """A bank's name in several lines, so that its columns stay narrow."""
    return re.sub(r"-|\s(?=\()|\s(?=episodes)", lambda gap: gap[0].strip() + "\n", bank)


def _csv(comparisons: Sequence[Comparison]) -> str:
    """One line for each method and bank, fractions unrounded."""
    records = [flat(row) for one in comparisons for row in one.rows]
    records += [
        {"bank": one.bank, "method": failure.method, "failed": failure.reason}
        for one in comparisons
        for failure in one.failures
    ]
    return csv_text(records)


def csv_text(records: Sequence[Mapping[str, object]]) -> str:
    """Records as CSV, under all titles that occur."""
    text = io.StringIO()
    titles = dict.fromkeys(title for record in records for title in record)
    writer = csv.DictWriter(text, fieldnames=list(titles), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
