"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, get_args

from tabulate import tabulate

from bench.summary import LEVEL, Comparison, Row
from episodes.errors import UserError

Format = Literal["terminal", "markdown", "latex", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
STYLES = {"terminal": "rounded_outline", "markdown": "pipe", "latex": "latex_booktabs"}
NOTHING = ""


def render(comparisons: Sequence[Comparison], style: str) -> str:
    """Render one table with a row for each method and columns for each bank.

    Args:
        comparisons: one for each bank, at least one; the first one's order of methods is kept.
        style: a name in `FORMATS`.

    Raises:
        UserError: no such format.
    """
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is none of {', '.join(FORMATS)}")
    if style == "csv":
        return _csv(comparisons)
    methods = dict.fromkeys(row.method for one in comparisons for row in one.rows)
    lines = [_line(method, comparisons) for method in methods]
    headers = [title if style == "terminal" else title.replace("\n", " ") for title in lines[0]]
    body = tabulate(
        [list(line.values()) for line in lines],
        headers=headers,
        tablefmt=STYLES[style],
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )
    notes = caption(comparisons)
    if style == "latex":
        body = body.replace("±", r"$\pm$").replace("−", "$-$")
        notes = "\n".join(f"% {line}" for line in notes.splitlines())
    gap = "\n\n" if style == "markdown" else "\n"
    return f"{body}{gap}{notes}\n"


def _line(method: str, comparisons: Sequence[Comparison]) -> dict[str, str]:
    """One row of the table: column title -> cell."""
    line = {"method": method}
    for one in comparisons:
        row = one.of(method)
        line[f"{one.bank}\naccuracy %"] = NOTHING if row is None else _accuracy(row)
        line[f"{one.bank}\nvs {one.reference}"] = NOTHING if row is None else _difference(row)
    row = next(found for one in comparisons if (found := one.of(method)))
    return line | {
        "scoring\nepisodes/s": f"{row.episodes_per_s:,.0f}",
        "embedding\nclips/s": f"{row.embed_clips_per_s:,.0f}",
        "peak\nMB": f"{row.peak_memory_bytes / 1e6:,.0f}",
        "sees": row.sees,
        "trained": {None: "–", True: "yes", False: "untrained"}[row.trained],
    }


def _accuracy(row: Row) -> str:
    half = (row.interval[1] - row.interval[0]) / 2
    return f"{100 * row.accuracy:.1f} ± {100 * half:.1f}"


def _difference(row: Row) -> str:
    if row.difference is None or row.difference_interval is None:
        return "reference"
    half = (row.difference_interval[1] - row.difference_interval[0]) / 2
    sign = "−" if row.difference < 0 else "+"
    return f"{sign}{100 * abs(row.difference):.1f} ± {100 * half:.1f}"


def caption(comparisons: Sequence[Comparison]) -> str:
    """Say what the figures are, and what their intervals leave out."""
    counts = ", ".join(f"{one.bank}: {one.rows[0].episodes:,} episodes" for one in comparisons)
    devices = " / ".join(dict.fromkeys(row.device for one in comparisons for row in one.rows))
    notes = [
        f"± half the {LEVEL:.0%} interval over episodes: other draws of the same videos, not other"
        " videos, classes or trainings. Differences are paired, in points.",
        f"{counts}. Device: {devices}. Speed and memory (the process's, or the GPU's) are those of"
        f" scoring {comparisons[0].bank}.",
    ]
    if any(row.trained is False for one in comparisons for row in one.rows):
        notes.append(
            "untrained: the method learns, and its weights are still as they start, mostly random."
        )
    return "\n".join(notes)


def _csv(comparisons: Sequence[Comparison]) -> str:
    """One line for each method and bank, fractions unrounded."""
    text = io.StringIO()
    records = [_flat(row) for one in comparisons for row in one.rows]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _flat(row: Row) -> dict[str, object]:
    """A row with its intervals as two columns each."""
    flat: dict[str, object] = {}
    for key, value in asdict(row).items():
        if key.endswith("interval"):
            low, high = value or (None, None)
            flat |= {f"{key}_low": low, f"{key}_high": high}
        else:
            flat[key] = value
    return flat
