"""A comparison in full, as text and as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.comparison.classes import ClassAccuracy, Confusion, confusions, per_class
from bench.comparison.disagreement import Disagreement, disagreement
from bench.statistics import LEVEL
from bench.summary import Comparison, Interval, Row
from bench.tables import (
    NOTHING,
    about_marks,
    accuracy_cell,
    difference_cell,
    ends,
    marked,
    table,
)

HARDEST = 8
"""Classes and pairs that the text shows; JSON has all classes."""
SIDE_BY_SIDE = 4
"""Contenders whose accuracy by class the text shows."""
RUN_OF_LETTERS = 3
"""So many letters in a row are written as a range."""


def content(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain values."""
    found = comparison.content() | {"disagreements": _disagreements(comparison)}
    if comparison.opened is not None:
        contenders, bank = comparison.contenders, comparison.opened
        titles = [row.title for row in comparison.rows]
        found["classes"] = [
            {
                "class": one.name,
                "queries": one.queries,
                "accuracy": dict(zip(titles, one.accuracy, strict=True)),
            }
            for one in per_class(contenders, bank)
        ]
        found["confusions"] = [asdict(one) for one in confusions(contenders, bank)]
    return found


def text(comparison: Comparison) -> str:
    """The rank table, where methods disagree, and what is hard for all."""
    parts = [rank_table(comparison), _disagreement_table(comparison)]
    if comparison.opened is not None:
        parts += [
            _class_table(comparison, per_class(comparison.contenders, comparison.opened)),
            _confusion_table(confusions(comparison.contenders, comparison.opened, HARDEST)),
        ]
    return "\n".join(part for part in parts if part)


def rank_table(comparison: Comparison) -> str:
    """All contenders, best first, with their paired differences and the groups they form."""
    over = comparison.tested_over
    lines = [rank_line(row, comparison) for row in comparison.rows]
    first = comparison.rows[0]
    notes = [
        f"bank {comparison.bank} {comparison.bank_sha256[:12]}, {first.episodes:,} episodes,"
        f" {first.queries:,} queries; {comparison.units}",
        f"±: half the {LEVEL:.0%} interval over episodes. new classes: the {LEVEL:.0%} interval"
        " over videos and classes.",
        f"p: of no difference to {comparison.reference}, over {over}, after Holm for"
        f" {len(lines) - 1} comparisons. better: probability that the method beats"
        f" {comparison.reference}, over {over}.",
        about_groups(comparison),
        *about_marks(comparison.rows),
    ]
    return table(lines, "\n".join(notes), "terminal")


def about_groups(comparison: Comparison) -> str:
    """What the column of groups says, or why there is none."""
    over = f"over {comparison.tested_over} (Holm over all pairs, {1 - LEVEL:.0%})"
    if not _have_letters(comparison):
        return f"Groups that cannot be told apart {over} are too many for letters; --json has them."
    return f"group: methods that share a letter cannot be told apart {over}."


def _have_letters(comparison: Comparison) -> bool:
    """Whether groups are few enough to be named by one letter each."""
    return all(len(letter) == 1 for row in comparison.rows for letter in row.group)


def rank_line(row: Row, comparison: Comparison) -> dict[str, str]:
    """One row of the rank table: column title -> cell."""
    over, against = comparison.tested_over, f"vs {comparison.reference}"
    line = {"method": marked(row), "trained": row.trained_words}
    if len({other.backbone for other in comparison.rows}) > 1:
        line["backbone"] = row.backbone or NOTHING
    line["accuracy %"] = accuracy_cell(row)
    if over != "episodes":
        line["new\nclasses"] = ends(row.intervals.get(over))
    line[f"{against}\n"] = difference_cell(row)
    if over != "episodes":
        line[f"{against}\nnew classes"] = _points((row.difference_intervals or {}).get(over))
    line |= {
        "p": probability(row.p_value_holm),
        "better": probability(row.probability_better),
    }
    return line | ({"group": _shortened(row.group)} if _have_letters(comparison) else {})


def _points(interval: Interval | None) -> str:
    """Ends of an interval of a difference, in points."""
    if interval is None:
        return NOTHING
    return " to ".join(f"{100 * end:+.1f}" for end in interval).replace("-", "−")


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


def _against_reference(comparison: Comparison) -> list[tuple[str, Disagreement]]:
    titles = [row.title for row in comparison.rows]
    reference = comparison.contenders[titles.index(comparison.reference)]
    return [
        (title, disagreement(one, reference))
        for title, one in zip(titles, comparison.contenders, strict=True)
        if one is not reference
    ]


def _disagreements(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {"method": title, "reference": comparison.reference}
        | asdict(one)
        | {"mcnemar_p_value": one.p_value}
        for title, one in _against_reference(comparison)
    ]


def _disagreement_table(comparison: Comparison) -> str:
    lines: list[Mapping[str, str]] = [
        {
            "queries": title,
            "both right": f"{one.both_right:,}",
            f"only it, not {comparison.reference}": f"{one.only_first:,}",
            f"only {comparison.reference}": f"{one.only_second:,}",
            "both wrong": f"{one.both_wrong:,}",
            "McNemar p": probability(one.p_value),
        }
        for title, one in _against_reference(comparison)
    ]
    note = "McNemar: exact, queries taken as independent; of these videos alone, uncorrected."
    return table(lines, note, "terminal") if lines else ""


def _class_table(comparison: Comparison, classes: Sequence[ClassAccuracy]) -> str:
    titles = [row.title for row in comparison.rows]
    shown = list(dict.fromkeys([*titles[: SIDE_BY_SIDE - 1], comparison.reference]))
    lines = [
        {"hardest classes": one.name, "queries": f"{one.queries:,}"}
        | {f"{title} %": f"{100 * one.accuracy[titles.index(title)]:.1f}" for title in shown}
        for one in classes[:HARDEST]
    ]
    return table(lines, "Classes by accuracy over all methods; --json has all of both.", "terminal")


def _confusion_table(found: Sequence[Confusion]) -> str:
    if not found:
        return ""
    lines = [
        {
            "most confused: class": one.true,
            "taken for": one.predicted,
            "% of queries": f"{100 * one.share:.1f}",
            "queries": f"{one.queries:,}",
        }
        for one in found
    ]
    return table(
        lines, "Of the queries in whose episode both classes are, over all methods.", "terminal"
    )
