"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal, get_args

from tabulate import tabulate

from bench.statistics import LEVEL, Kind
from bench.summary import Comparison, Interval, Row
from episodes.errors import UserError

Format = Literal["terminal", "markdown", "latex", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
STYLES = {"terminal": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
NOTHING = ""
SPEED = "scoring\nepisodes/s"
PEAK = "peak\nMB"
"""Title of the column that goes first where there is little room."""
NARROWEST = 72
"""Characters that notes may take on a terminal, below however narrow a table."""
WIDEST: Kind = "videos, classes and trainings"
FURTHER: dict[Kind, str] = {
    "videos and classes": "new\nclasses",
    WIDEST: "new\ntraining",
}
"""Intervals that have a column beside the one over episodes, and its title."""
TRANSDUCTIVE = "*"
"""Marks methods that see all queries of an episode at once."""
ORDER_AWARE = "→"
"""Marks methods to which the order of a query's features in time can make a difference."""


def render(comparisons: Sequence[Comparison], style: str, width: int | None = None) -> str:
    """Render one table with a row for each contender and columns for each bank.

    Args:
        comparisons: one for each bank, at least one; the first one's order of methods is kept.
        style: a name in `FORMATS`.
        width: characters of the terminal. Banks that do not fit beside each other stand below one
            another, each in its own order of methods.

    Raises:
        UserError: no such format.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is none of {', '.join(FORMATS)}")
    if style == "csv":
        return _csv(comparisons)
    lines = [_line(row, comparisons) for row in _distinct(comparisons)]
    side_by_side = _body(lines, style)
    if style != "terminal" or width is None or _breadth(side_by_side) <= width:
        return table(lines, caption(comparisons), style)
    below = [f"{one.bank}\n{_body(_short_lines(one), style)}\n" for one in comparisons]
    return "\n".join([*below, f"{_wrapped(caption(comparisons), width)}\n"])


def _short_lines(one: Comparison) -> list[dict[str, str]]:
    """The table of one bank for a narrow terminal: its name stands above, titles are narrow."""
    bank = f"{_broken(one.bank)}\n"
    return [
        {
            title.removeprefix(bank).replace("/", " per ").replace(" ", "\n", 1): cell
            for title, cell in _line(row, [one]).items()
            if title != PEAK
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


def _distinct(comparisons: Sequence[Comparison]) -> list[Row]:
    """One row for each contender, from the first bank that has it."""
    rows = {row.key: row for one in reversed(comparisons) for row in one.rows}
    return [rows[key] for key in dict.fromkeys(row.key for one in comparisons for row in one.rows)]


def _line(row: Row, comparisons: Sequence[Comparison]) -> dict[str, str]:
    """One row of the table: column title -> cell."""
    line = {"method": marked(row)}
    several = len({one.backbone for found in comparisons for one in found.rows}) > 1
    if any(one.trained_words != "–" for found in comparisons for one in found.rows):
        line["trained"] = row.trained_words
    if several:
        line["backbone"] = row.backbone or NOTHING
    for one in comparisons:
        found = next((other for other in one.rows if other.key == row.key), None)
        line |= bank_cells(one, found)
    speed = {SPEED: f"{row.episodes_per_s:,.0f}"}
    if len(comparisons) == 1:
        speed |= {PEAK: f"{row.peak_memory_bytes / 1e6:,.0f}"}
    return line | speed


def marked(row: Row) -> str:
    """The method's name, with what a reader must know of it as marks: `about_marks` says what."""
    transductive = TRANSDUCTIVE if row.sees == "all queries" else ""
    return row.name + transductive + (f" {ORDER_AWARE}" if row.order_aware else "")


def bank_cells(one: Comparison, row: Row | None) -> dict[str, str]:
    """Cells of a row on one bank: accuracy, its intervals, and the difference to the reference."""
    bank = _broken(one.bank)
    cells = {f"{bank}\naccuracy %": NOTHING if row is None else accuracy_cell(row)}
    for kind, title in FURTHER.items():
        if any(kind in other.intervals for other in one.rows):
            cells[f"{bank}\n{title}"] = NOTHING if row is None else ends(row.intervals.get(kind))
    versus = f"{bank}\nvs {one.reference}"
    cells[versus] = NOTHING if row is None else difference_cell(row)
    if any(WIDEST in (other.difference_intervals or {}) for other in one.rows):
        known = {} if row is None else row.difference_intervals or {}
        cells[f"{versus}, new\ntraining"] = points(known.get(WIDEST))
    return cells


def _broken(bank: str) -> str:
    """A bank's name in several lines, so that its columns stay narrow."""
    return bank.replace("-", "-\n")


def accuracy_cell(row: Row) -> str:
    """Accuracy in per cent and half its interval over episodes."""
    half = (row.interval[1] - row.interval[0]) / 2
    return f"{100 * row.accuracy:.1f} ± {100 * half:.1f}"


def ends(interval: Interval | None) -> str:
    """The ends of an interval in per cent; nothing where it is unknown."""
    return NOTHING if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}"


def difference_cell(row: Row) -> str:
    """Difference to the reference in points and half its interval over episodes."""
    if row.difference is None or row.difference_interval is None:
        return "reference"
    half = (row.difference_interval[1] - row.difference_interval[0]) / 2
    return f"{signed(row.difference)} ± {100 * half:.1f}"


def points(interval: Interval | None) -> str:
    """The ends of a difference's interval in points; nothing where it is unknown."""
    return NOTHING if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"


def signed(fraction: float) -> str:
    """A difference in points with its sign."""
    return f"{'−' if fraction < 0 else '+'}{100 * abs(fraction):.1f}"


def caption(comparisons: Sequence[Comparison]) -> str:
    """Say what the figures are, and what their intervals leave out."""
    rows = [row for one in comparisons for row in one.rows]
    counts = ", ".join(f"{one.bank}: {one.rows[0].episodes:,} episodes" for one in comparisons)
    devices = " / ".join(dict.fromkeys(row.device for row in rows))
    notes = [
        f"± half the {LEVEL:.0%} interval over episodes: other draws of the same videos, not other"
        " videos, classes or trainings. Differences are paired, in points."
    ]
    if any("videos and classes" in row.intervals for row in rows):
        notes.append(f"new classes: the {LEVEL:.0%} interval over videos and classes, in per cent.")
    if any(WIDEST in row.intervals for row in rows):
        notes.append(f"new training: the {LEVEL:.0%} interval over videos, classes and trainings.")
    notes += [f"{one.bank}: {one.units}." for one in comparisons]
    notes += [
        f"{counts}. Device: {devices}. Speed and memory (the process's, or the GPU's) are those of"
        f" scoring {comparisons[0].bank}."
    ]
    return "\n".join([*notes, *about_marks(rows), *_about_training(rows)])


def about_marks(rows: Sequence[Row]) -> list[str]:
    """What the marks at the names mean, those that occur."""
    notes = []
    if any(row.sees == "all queries" for row in rows):
        notes.append(f"{TRANSDUCTIVE} sees all queries of an episode at once (transductive).")
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
            "untrained: the method learns, and its weights are still as they start, mostly random."
        )
    if any(row.training is not None for row in rows):
        notes.append(
            "frozen, tuned: the method was trained; so was, if tuned, the backbone. Accuracy and"
            " interval are of the mean over training seeds."
        )
    return notes


def _csv(comparisons: Sequence[Comparison]) -> str:
    """One line for each contender and bank, fractions unrounded."""
    text = io.StringIO()
    records = [_flat(row) for one in comparisons for row in one.rows]
    titles = dict.fromkeys(title for record in records for title in record)
    writer = csv.DictWriter(text, fieldnames=list(titles), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _flat(row: Row) -> dict[str, object]:
    """A row with its intervals as two columns each."""
    flat: dict[str, object] = {}
    for key, value in asdict(row).items():
        if key.endswith("interval"):
            flat |= _two(key, value)
        elif key.endswith("intervals"):
            for kind in row.intervals:
                if kind != "episodes":
                    flat |= _two(f"{key[:-1]} over {kind}", (value or {}).get(kind))
        elif key == "training":
            flat[key] = None if value is None else value["recipe"]
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return flat


def _two(key: str, interval: Interval | None) -> dict[str, object]:
    low, high = interval or (None, None)
    return {f"{key}_low": low, f"{key}_high": high}
