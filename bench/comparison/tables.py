"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from tabulate import tabulate

from bench.comparison.frame import (
    NAMES,
    NOTHING,
    ORDER_AWARE,
    PEAK,
    TRANSDUCTIVE,
    Comparison,
    cells,
    decisive_interval,
    half,
    has_letters,
    heading,
    probability,
    signed,
    verdict_cell,
)
from bench.comparison.row import Row, Versus, flat
from bench.statistics import CEILING, LEVEL, UNSEEN
from episodes.errors import UserError, counted

Format = Literal["terminal", "markdown", "latex", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
STYLES = {"terminal": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
NARROWEST = 72
"""Characters that notes may take on a terminal, below however narrow a table."""


def render(comparisons: Sequence[Comparison], style: str, width: int | None = None) -> str:
    """Render one table with a row for each method and columns for each bank.

    Args:
        comparisons: one for each bank, at least one; the first one's order of methods is kept.
        style: a name in `FORMATS`.
        width: characters of the terminal. Banks that do not fit beside each other stand below one
            another, each in its own order of methods.

    Raises:
        UserError: no such format.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is not one of {', '.join(FORMATS)}")
    if style == "csv":
        return _csv(comparisons)
    lines = [_line(row, comparisons) for row in distinct(comparisons)]
    lines += _failed(comparisons, lines[0])
    if style != "terminal" and len(comparisons) == 1:  # its notes name the bank
        bank = f"{_broken(comparisons[0].bank)}\n"
        lines = [{title.removeprefix(bank): cell for title, cell in line.items()} for line in lines]
    side_by_side = _body(lines, style)
    if style != "terminal" or width is None or _breadth(side_by_side) <= width:
        return table(lines, caption(comparisons), style)
    below = [f"{one.bank}\n{_body(_short_lines(one), style)}\n" for one in comparisons]
    return "\n".join([*below, f"{_wrapped(caption(comparisons), width)}\n"])


def _failed(comparisons: Sequence[Comparison], like: Mapping[str, str]) -> list[dict[str, str]]:
    """Lines of methods that failed and have no row on any bank; the caption says why."""
    known = {row.method for one in comparisons for row in one.rows}
    lines: dict[str, dict[str, str]] = {}
    for one in comparisons:
        for name in sorted({failure.method for failure in one.failures} - known):
            line = lines.setdefault(name, dict.fromkeys(like, NOTHING) | {"method": name})
            line[f"{_broken(one.bank)}\naccuracy %"] = "failed"
    return list(lines.values())


def _short_lines(one: Comparison) -> list[dict[str, str]]:
    """The table of one bank for a narrow terminal: fewer columns, narrow titles, the bank above."""
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
    """Set lines of cells under their titles, and notes below.

    Args:
        lines: title of the column -> cell; a title may have several lines, on a terminal.
        notes: what the figures are.
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
    """Notes in lines that a terminal does not break within a word."""
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
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is not one of {', '.join(FORMATS)}")
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


def caption(comparisons: Sequence[Comparison]) -> str:
    """Say what the figures are, and what their intervals leave out."""
    rows = [row for one in comparisons for row in one.rows]
    devices = " / ".join(dict.fromkeys(row.device for row in rows))
    counts = ", ".join(f"{one.bank}: {one.rows[0].episodes:,} episodes" for one in comparisons)
    notes = [
        *about_intervals(comparisons),
        *(note for one in comparisons for note in about_verdicts(one)),
        *(f"{one.bank}: {one.units}." for one in comparisons),
        f"{counts}. Device: {devices}. Speed and memory (the process's, or the GPU's) are those of"
        f" scoring {comparisons[0].bank}.",
    ]
    notes += [
        f"{failure.method} failed on {one.bank}: {failure.reason}"
        for one in comparisons
        for failure in one.failures
    ]
    return "\n".join(dict.fromkeys([*notes, *about_marks(rows), *_about_training(rows)]))


def about_intervals(comparisons: Sequence[Comparison]) -> list[str]:
    """What varies in the intervals of each column."""
    rows = [row for one in comparisons for row in one.rows]
    said = []
    if kinds := list(dict.fromkeys(row.widest for row in rows if row.widest != "episodes")):
        several = " (over trainings where there are several seeds)" if len(kinds) > 1 else ""
        over = min(kinds, key=len) if several else kinds[0]
        said.append(
            f"interval: {LEVEL:.0%}, for the mean over all {over} that might have been"
            f" drawn{several}; another data set would vary more than that. Differences are paired,"
            " in points."
        )
    said.append(
        f"± over episodes: half the {LEVEL:.0%} interval over other draws of the same videos, the"
        " convention of the field; not over other videos, classes or trainings."
    )
    if any(row.accuracy > CEILING for row in rows):
        said.append(
            f"Above {CEILING:.0%} a rare hard class may not have been drawn: the lower end of an"
            f" interval over classes is as if one more had been, of which {UNSEEN:.0%} is right."
        )
    return said


def about_verdicts(one: Comparison) -> list[str]:
    """What the verdicts on one bank are corrected for, and why some are missing."""
    if one.base is None or len(one.rows) == 1:
        return []
    every: list[Versus] = [*one.rows, *one.declared]
    family = "declared" if one.declared else "controls and duplicates left out"
    said = [
        f"{one.bank}: verdict: corrected for {counted(one.comparisons, 'comparison')} ({family}),"
        f" step-down max-T, {1 - LEVEL:.0%}, each over the widest of videos, classes and trainings"
        " that both methods support. undecided < x: not significant; a difference of x points"
        " would have been."
    ]
    if any(versus.verdict == "undecided" and _beside_0(versus) for versus in every):
        said.append(
            "Each interval is for a single difference, while p and verdict are corrected: it may"
            " leave out 0 although the verdict is undecided."
        )
    if any(versus.verdict == "1 seed" for versus in every):
        said.append(
            "1 seed: how much trainings vary is not known of a method trained once: no verdict"
            " between it and another trained method, and no letter."
        )
    if dominated := {v.dominated_by: v for v in every if v.dominated_by and v.verdict}:
        names = "; ".join(str(name) for name in dominated)
        said.append(
            f"One class carries most of the variance of some differences ({names}): their intervals"
            " cover less than they say."
        )
    return said


def _beside_0(versus: Versus) -> bool:
    """Whether the interval that decides, uncorrected, leaves 0 out."""
    decided = (versus.difference_intervals or {}).get(versus.decided_over or "episodes")
    return decided is not None and not decided[0] <= 0 <= decided[1]


def about_groups(one: Comparison) -> list[str]:
    """What the column of groups says, or why there is none."""
    if not one.pairs:
        return []
    if not has_letters(one):
        return ["Groups that cannot be told apart are too many for letters; --json has them."]
    return [
        "group: methods that share a letter cannot be told apart, after correction for"
        f" {counted(one.pairs, 'pair')}."
    ]


def about_marks(rows: Sequence[Row]) -> list[str]:
    """What the marks at the names mean, those that occur."""
    notes = []
    if any(row.sees == "all queries" for row in rows):
        notes.append(f"{TRANSDUCTIVE} sees all queries of an episode at once (transductive).")
    if any(row.reads_names for row in rows):
        notes.append(
            f"{NAMES.strip()}: is told what the classes of an episode are called; judged against"
            " others that are told, unless a declared family asks for more."
        )
    if any(row.order_aware for row in rows):
        notes.append(
            f"{ORDER_AWARE} order-aware: another order of a query's frames can change its score."
        )
    return notes


def _about_training(rows: Sequence[Row]) -> list[str]:
    """What the column about training means, where it says anything."""
    notes = []
    if any(row.trained is False for row in rows):
        notes.append(
            "untrained: the method has weights to learn, which still have their initial values,"
            " mostly random."
        )
    if any(row.training is not None for row in rows):
        notes.append(
            "frozen, tuned: the method was trained on a frozen backbone, or together with it."
            " Accuracy and interval are for the mean over training seeds."
        )
    return notes


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
