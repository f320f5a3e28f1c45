"""Cases in the report: their counts, and pictures of the clearest case of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.frame import Comparison
from bench.machine.progress import Reporter
from bench.report.assembly import Figure, picture
from bench.report.cases.drawing import attention_figure, case_figure, describe
from bench.report.cases.examination import Examiner
from bench.report.cases.outcomes import KINDS, MODELS, Outcomes
from bench.report.grid import Grid
from bench.runs.run import Run
from episodes.errors import UserError

ATTENTION = (
    "MASTAF's attention over the same frames: the brighter a position, the larger its weight; the"
    " factor 1 leaves it as it is."
)


@dataclass(frozen=True)
class Example:
    """A case with both of its pictures."""

    title: str
    angles: Figure
    attention: Figure


@dataclass(frozen=True)
class Cases:
    """How often each kind of case occurs, and examples."""

    counts: Grid
    combinations: Grid
    examples: Sequence[Example]
    problem: str
    """Why there are no pictures, if there are none."""


def cases(comparison: Comparison, anchor: str, reporter: Reporter | None) -> Cases | None:
    """Count and draw cases; None unless a comparison has all four models."""
    runs = _the_four(comparison)
    if runs is None:
        return None
    outcomes = Outcomes(runs, [] if comparison.opened is None else [comparison.opened])
    kinds = [
        {"kind": one.what, "meaning": KINDS[one.what]} | one.cells() for one in outcomes.kinds()
    ]
    combinations = outcomes.combination_lines()
    note = "Only-Self and Only-Cross are models of their own, not the branches inside MASTAF."
    examples, problem = _examples(outcomes, reporter)
    return Cases(
        Grid(
            f"{anchor}-cases",
            "How often each kind of case occurs",
            list(kinds[0]),
            [list(line.values()) for line in kinds],
            [note],
        ),
        Grid(
            f"{anchor}-outcomes",
            "Who is right, all outcomes",
            list(combinations[0]),
            [list(line.values()) for line in combinations],
        ),
        examples,
        problem,
    )


def _the_four(comparison: Comparison) -> list[Run] | None:
    """The runs of the four models, all trained or all untrained; trained ones if there are both."""
    groups: dict[bool, dict[str, Run]] = {True: {}, False: {}}
    for one in comparison.methods:
        if one.method in MODELS:
            groups[bool(one.first.declared.trained)][one.method] = one.first
    for trained in (True, False):
        runs = groups[not trained] | groups[trained]
        if groups[trained] and runs.keys() == MODELS.keys():
            return list(runs.values())
    return None


def _examples(outcomes: Outcomes, reporter: Reporter | None) -> tuple[list[Example], str]:
    """The clearest case of each kind, or why none is drawn."""
    if reporter is None:
        return [], "fvbench report draws them."
    examples: list[Example] = []
    try:
        clearest = {kind: queries[0] for kind in KINDS if (queries := outcomes.find(kind))}
        if not clearest:
            return [], ""
        examiner = Examiner(outcomes, reporter)
        for kind, query in clearest.items():
            case = examiner.examine(query)
            examples.append(
                Example(
                    f"{kind}: the clearest, episode {query.episode}, query {query.query}",
                    picture(describe(case), case_figure(case)),
                    picture(ATTENTION, attention_figure(case)),
                )
            )
    except UserError as error:
        return [], str(error)
    return examples, ""
