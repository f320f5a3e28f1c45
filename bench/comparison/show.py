"""A comparison in full, as text and as plain values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.comparison.classes import (
    ClassAccuracy,
    Confusion,
    confusions,
    per_class,
    without_controls,
)
from bench.comparison.frame import Comparison, cells, heading, probability
from bench.comparison.notes import (
    about_groups,
    about_intervals,
    about_marks,
    about_runs,
    about_verdicts,
)
from bench.comparison.row import Row
from bench.comparison.tables import render_declared, table
from bench.runs.by_method import MethodRuns
from bench.statistics import mcnemar_p_value


@dataclass(frozen=True)
class Disagreement:
    """Queries by which method answers them right: the 2 x 2 table of two methods.

    After several trainings a query counts as right if most of them answer it right; the first one
    decides a tie.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test, which takes queries as independent: of these videos alone."""
        return mcnemar_p_value(self.only_first, self.only_second)


def disagreement(first: MethodRuns, second: MethodRuns) -> Disagreement:
    """Count the queries that both, one or none of two methods on a bank answer right."""
    one, other = _right(first), _right(second)
    return Disagreement(
        both_right=int((one & other).sum()),
        only_first=int((one & ~other).sum()),
        only_second=int((~one & other).sum()),
        both_wrong=int((~one & ~other).sum()),
    )


def _right(method: MethodRuns) -> NDArray[np.bool_]:
    right = np.array(
        [(run.rows["label"] == run.rows["prediction"]).to_numpy() for run in method.runs]
    )
    votes = right.sum(axis=0) + (right[0] - 0.5) / 2
    return np.asarray(votes > len(right) / 2)


HARDEST = 8
"""Classes and pairs that the text shows; JSON has all classes."""
SIDE_BY_SIDE = 4
"""Methods whose accuracy by class the text shows."""


def content(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain values."""
    values = comparison.content()
    values["disagreements"] = [
        {"method": title, "reference": comparison.reference}
        | asdict(one)
        | {"mcnemar_p_value": one.p_value}
        for title, one in _against_reference(comparison)
    ]
    if comparison.opened is not None:
        kept = without_controls(comparison)
        titles = [row.title for row in kept.rows]
        values["classes"] = [
            {
                "class": one.name,
                "queries": one.queries,
                "accuracy": dict(zip(titles, one.accuracy, strict=True)),
            }
            for one in per_class(kept.methods, comparison.opened)
        ]
        values["confusions"] = [asdict(one) for one in confusions(kept.methods, comparison.opened)]
    return values


def text(comparison: Comparison, mcnemar: bool = False) -> str:
    """The rank table, where methods disagree, and what is hard for all."""
    parts = [rank_table(comparison)]
    if comparison.declared:
        parts.append(render_declared([comparison], "terminal"))
    parts.append(_disagreement_table(comparison, mcnemar))
    if comparison.opened is not None:
        kept = without_controls(comparison)
        parts += [
            _class_table(kept, per_class(kept.methods, comparison.opened)),
            _confusion_table(confusions(kept.methods, comparison.opened, HARDEST)),
        ]
    return "\n".join(part for part in parts if part)


def rank_table(comparison: Comparison) -> str:
    """All methods, best first, with their paired differences and the groups they form."""
    lines = [rank_line(row, comparison) for row in comparison.rows]
    first = comparison.rows[0]
    notes = [
        f"bank {comparison.bank} {comparison.bank_sha256[:12]}, {first.episodes:,} episodes,"
        f" {first.queries:,} queries; {comparison.units}",
        *about_intervals([comparison]),
        *about_verdicts(comparison),
        *about_groups(comparison),
        *about_runs(comparison),
        *about_marks(comparison.rows),
    ]
    values = [list(line.values()) for line in lines]
    return table(list(lines[0]), values, "\n".join(notes), "terminal")


def rank_line(row: Row, comparison: Comparison) -> dict[str, str]:
    """One row of the rank table: column title -> cell."""
    return heading(row, [comparison]) | cells(comparison, row, "everywhere", "compare")


def _against_reference(comparison: Comparison) -> list[tuple[str, Disagreement]]:
    titles = [row.title for row in comparison.rows]
    reference = comparison.methods[titles.index(comparison.reference)]
    return [
        (title, disagreement(one, reference))
        for title, one in zip(titles, comparison.methods, strict=True)
        if one is not reference
    ]


def _disagreement_table(comparison: Comparison, mcnemar: bool) -> str:
    lines = [
        [
            title,
            *(f"{count:,}" for count in vars(one).values()),
            *([probability(one.p_value)] if mcnemar else []),
        ]
        for title, one in _against_reference(comparison)
    ]
    if not lines:
        return ""
    reference = comparison.reference
    titles = ["queries", "both right", f"only it, not {reference}", f"only {reference}"]
    titles += ["both wrong", "McNemar p"] if mcnemar else ["both wrong"]
    note = "McNemar: exact, queries taken as independent; of these videos alone, uncorrected."
    return table(titles, lines, note if mcnemar else "", "terminal")


def _class_table(comparison: Comparison, classes: Sequence[ClassAccuracy]) -> str:
    titles = [row.title for row in comparison.rows]
    wanted = dict.fromkeys([*titles[: SIDE_BY_SIDE - 1], comparison.reference])
    shown = [titles.index(title) for title in wanted if title in titles]
    lines = [
        [one.name, f"{one.queries:,}", *(f"{100 * one.accuracy[index]:.1f}" for index in shown)]
        for one in [one for one in classes if one.queries][:HARDEST]
    ]
    return table(
        ["hardest classes", "queries", *(f"{titles[index]} %" for index in shown)],
        lines,
        "Classes by accuracy over all methods; --json has all of both.",
        "terminal",
    )


def _confusion_table(found: Sequence[Confusion]) -> str:
    if not found:
        return ""
    return table(
        ["most confused: class", "confused with", "% of queries", "queries"],
        [[one.true, one.predicted, f"{100 * one.share:.1f}", f"{one.queries:,}"] for one in found],
        "% of queries: of those whose episode holds both classes, over all methods.",
        "terminal",
    )
