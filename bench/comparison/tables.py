"""Comparison tables of runs, for terminals, Markdown, LaTeX and spreadsheets."""

import csv
import io
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from tabulate import tabulate

from bench.comparison.summary import Comparison, Declared, Interval, Row, Versus
from bench.statistics import CEILING, LEVEL, UNSEEN
from episodes.errors import UserError, counted

Format = Literal["terminal", "markdown", "latex", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
STYLES = {"terminal": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
NOTHING = ""
SPEED = "scoring\nepisodes/s"
PEAK = "peak\nMB"
"""Title of the column that goes first where there is little room."""
NARROWEST = 72
"""Characters that notes may take on a terminal, below however narrow a table."""
TRANSDUCTIVE = "*"
"""Marks methods that see all queries of an episode at once."""
NAMES = " (names)"
"""Marks methods that are told what the classes of an episode are called."""
ORDER_AWARE = "→"
"""Marks methods to which the order of a query's features in time can make a difference."""
RUN_OF_LETTERS = 3
"""So many letters in a row are written as a range."""

INTERVALS = {"intervals": "interval", "difference_intervals": "difference_interval"}
PREDICTED = {"predictions": "prediction", "difference_predictions": "difference_prediction"}
"""Fields of rows that hold several intervals, and how one of them is called in a flat table."""


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
    lines = [_line(row, comparisons) for row in _distinct(comparisons)]
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


def _distinct(comparisons: Sequence[Comparison]) -> list[Row]:
    """One row for each method, from the first bank that has it."""
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
        cells = bank_cells(one, found)
        line |= {f"{_broken(one.bank)}\n{title}": cell for title, cell in cells.items()}
        if found is None and any(failure.method == row.method for failure in one.failures):
            line[f"{_broken(one.bank)}\naccuracy %"] = "failed"
    line |= {column.title: column.cell(row) for column in COLUMNS if column.where == "last"}
    if len(comparisons) == 1:
        line[PEAK] = f"{row.peak_memory_bytes / 1e6:,.0f}"
    return line


def render_declared(comparisons: Sequence[Comparison], style: str) -> str:
    """Render the comparisons of a declared family; arguments and errors as for `render`."""
    if style not in FORMATS:
        raise UserError(f"--format {style!r} is not one of {', '.join(FORMATS)}")
    found = [(one.bank, each) for one in comparisons for each in one.declared]
    if style == "csv":
        return _csv_of([{"bank": bank} | flat(each) for bank, each in found])
    lines = [
        ({"bank": bank} if len(comparisons) > 1 else {})
        | {
            "method": each.method,
            "against": each.against,
            "points": signed(each.difference or 0.0),
            "interval": decisive_interval(each),
            "± over\nepisodes": half(each.difference_interval or (0.0, 0.0)),
            "p": probability(each.p_value_corrected),
            "verdict": verdict_cell(each),
        }
        for bank, each in found
    ]
    notes = [note for one in comparisons for note in about_verdicts(one)]
    return table(lines, "\n".join([*about_intervals(comparisons), *notes]), style)


def marked(row: Row) -> str:
    """The method's name, with what a reader must know of it as marks: `about_marks` says what."""
    transductive = TRANSDUCTIVE if row.sees == "all queries" else ""
    names = NAMES if row.reads_names else ""
    return row.name + transductive + names + (f" {ORDER_AWARE}" if row.order_aware else "")


def bank_cells(one: Comparison, row: Row | None, whole: bool = False) -> dict[str, str]:
    """Cells of a row on one bank, title -> cell.

    Args:
        one: the bank's comparison.
        row: nothing is shown where the bank lacks it.
        whole: with the columns that only ``compare`` and the report have.
    """
    wanted = {"everywhere", "compare"} if whole else {"everywhere"}
    return {
        column.title.format(reference=one.reference): NOTHING if row is None else column.cell(row)
        for column in COLUMNS
        if column.where in wanted and column.is_shown(one)
    }


def _broken(bank: str) -> str:
    """A bank's name in several lines, so that its columns stay narrow."""
    return re.sub(r"-|\s(?=\()|\s(?=episodes)", lambda gap: gap[0].strip() + "\n", bank)


def half(interval: Interval) -> str:
    """Half an interval in points."""
    return f"{100 * (interval[1] - interval[0]) / 2:.1f}"


def _over_episodes(row: Row) -> str:
    """Half the interval of an accuracy over episodes; its one end, where all or none is right."""
    low, high = (100 * end for end in row.interval)
    if row.accuracy in {0.0, 1.0} and low < high:
        return f"≥ {low:.2f}" if row.accuracy else f"≤ {high:.2f}"
    return half(row.interval)


def accuracy_cell(row: Row) -> str:
    """Accuracy in per cent and its widest interval."""
    return f"{100 * row.accuracy:.1f} ({ends(row.intervals[row.widest])})"


def ends(interval: Interval | None) -> str:
    """The ends of an interval in per cent; nothing where it is unknown."""
    return NOTHING if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}"


def seeds_cell(row: Row) -> str:
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


def _difference_over_episodes(row: Row) -> str:
    return NOTHING if row.difference_interval is None else half(row.difference_interval)


def verdict_cell(versus: Versus) -> str:
    """What the difference amounts to; beside "undecided" the smallest that would have been told."""
    if versus.smallest is None:
        return versus.verdict
    return f"{versus.verdict} < {100 * versus.smallest:.1f}"


def points(interval: Interval | None) -> str:
    """The ends of a difference's interval in points; nothing where it is unknown."""
    return NOTHING if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"


def signed(fraction: float) -> str:
    """A difference in points with its sign."""
    return f"{'−' if fraction < 0 else '+'}{100 * abs(fraction):.1f}"


def probability(value: float | None) -> str:
    """A probability with three decimals, or that it is below or above all that have them."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "<0.001"
    return ">0.999" if 0.999 < value < 1 else f"{value:.3f}"


def _shortened(letters: Sequence[str]) -> str:
    """Letters with long runs of the alphabet written as a range: "abcdg" -> "a-dg"."""
    runs: list[str] = []
    for letter in letters:
        if runs and ord(letter) == ord(runs[-1][-1]) + 1:
            runs[-1] += letter
        else:
            runs.append(letter)
    return "".join(f"{run[0]}-{run[-1]}" if len(run) >= RUN_OF_LETTERS else run for run in runs)


def has_letters(one: Comparison) -> bool:
    """Whether there are groups, and few enough to be named by one letter each."""
    return one.pairs > 0 and all(len(letter) == 1 for row in one.rows for letter in row.group)


@dataclass(frozen=True)
class Column:
    """A figure of every row on one bank: tables, LaTeX, ``compare`` and the report take it here."""

    name: str
    """By which ``--columns`` chooses it."""
    title: str
    """``{reference}`` stands for the row that others are compared with."""
    cell: Callable[[Row], str]
    is_shown: Callable[[Comparison], bool] = lambda _: True
    """Whether a comparison has it."""
    where: Literal["everywhere", "compare", "last"] = "everywhere"
    """"compare": in ``compare`` and the report alone; "last": once in a table, after all banks."""


def _is_decided(one: Comparison) -> bool:
    return one.base is not None and len(one.rows) > 1


def rate(per_s: float) -> str:
    """A speed; nothing where it is not known: rows made elsewhere, features out of the store."""
    return NOTHING if math.isnan(per_s) else f"{per_s:,.0f}"


COLUMNS = (
    Column("accuracy", "accuracy %", lambda row: f"{100 * row.accuracy:.1f}"),
    Column(
        "interval",
        "interval",
        lambda row: ends(row.intervals.get(row.widest)),
        lambda one: one.base is not None,
    ),
    Column("episodes", "± over\nepisodes", _over_episodes),
    Column(
        "seeds",
        "sd over seeds\n(range)",
        seeds_cell,
        lambda one: any(row.seed_deviation is not None for row in one.rows),
    ),
    Column("difference", "vs {reference}", difference_cell, lambda one: len(one.rows) > 1),
    Column("difference-interval", "its\ninterval", decisive_interval, _is_decided),
    Column(
        "difference-episodes",
        "its ± over\nepisodes",
        _difference_over_episodes,
        lambda one: len(one.rows) > 1,
    ),
    Column("p", "p", lambda row: probability(row.p_value_corrected), _is_decided, "compare"),
    Column("verdict", "verdict", verdict_cell, _is_decided),
    Column("group", "group", lambda row: _shortened(row.group), has_letters, "compare"),
    Column("speed", SPEED, lambda row: rate(row.episodes_per_s), where="last"),
)
"""What a row shows, first things first: what varies most stands nearest."""


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
    family = "declared" if one.declared else "neither controls nor duplicates"
    said = [
        f"{one.bank}: verdict: of {counted(one.comparisons, 'comparison')} ({family}), step-down"
        f" max-T, {1 - LEVEL:.0%}, each over the widest of videos, classes and trainings that both"
        " methods support. undecided < x: not told apart; a difference of x points would have been."
    ]
    if any(versus.verdict == "undecided" and _beside_0(versus) for versus in every):
        said.append(
            "An interval is of one difference by itself, p and verdict are corrected: it may lie"
            " beside 0 where nothing is told apart."
        )
    if any(versus.verdict == "1 seed" for versus in every):
        said.append(
            "1 seed: trainings unknown: no verdict between trained methods of which one was trained"
            " once, and no letter."
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
            "untrained: the method learns, and its weights are still as they start, mostly random."
        )
    if any(row.training is not None for row in rows):
        notes.append(
            "frozen, tuned: the method was trained; so was, if tuned, the backbone. Accuracy and"
            " interval are of the mean over training seeds."
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
    return _csv_of(records)


def _csv_of(records: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    titles = dict.fromkeys(title for record in records for title in record)
    writer = csv.DictWriter(text, fieldnames=list(titles), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def flat(row: Row | Declared) -> dict[str, object]:
    """Every figure of a row under a name of its own, intervals under two."""
    found: dict[str, object] = {}
    content = asdict(row)
    versus = {field.name: content.pop(field.name) for field in fields(Versus)}
    for key, value in (content | versus).items():
        if key in {"interval", "difference_interval", "seed_range"}:
            found |= _two(key, value)
        elif key in INTERVALS:
            for kind, interval in (value or {}).items():
                found |= _two(f"{INTERVALS[key]} over {kind}", interval)
        elif key in PREDICTED:
            for what, interval in (value or {}).items():
                found |= _two(f"{PREDICTED[key]} of {what}", interval)
        elif key == "training":
            found[key] = None if value is None else value.recipe or None
        else:
            found[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return found


def _two(key: str, interval: Interval | None) -> dict[str, object]:
    low, high = interval or (None, None)
    return {f"{key}_low": low, f"{key}_high": high}
