"""Cases in the report: their counts, and pictures of the clearest case of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.frame import Comparison
from bench.machine.progress import Reporter
from bench.report.assembly import Figure, picture
from bench.report.cases.drawing import attention_figure, case_figure, describe
from bench.report.cases.examination import Examiner
from bench.report.cases.outcomes import (
    BRANCHES,
    COMBINATIONS,
    KINDS,
    MODELS,
    Outcomes,
    verdict,
)
from bench.report.grid import Cell, Grid, grid_of
from bench.runs.run import Run
from episodes.errors import UserError

ATTENTION = (
    "MASTAF's attention over the same frames: the brighter a position, the larger its weight; the"
    " factor 1 leaves it as it is."
)


@dataclass(frozen=True)
class Shown:
    """A case with both of its pictures."""

    title: str
    angles: Figure
    attention: Figure


@dataclass(frozen=True)
class Cases:
    """How often each kind of case occurs, and examples."""

    counts: Grid
    combinations: Grid
    shown: Sequence[Shown]
    problem: str = ""
    """Why there are no pictures, if there are none."""


def cases(comparison: Comparison, anchor: str, reporter: Reporter | None) -> Cases | None:
    """Count and draw cases; None unless a comparison has all four models."""
    runs = _the_four(comparison)
    if runs is None:
        return None
    outcomes = Outcomes(runs, [] if comparison.opened is None else [comparison.opened])
    kinds, combinations = outcomes.kinds(), outcomes.combinations()
    figures = list(kinds[0].cells())
    of_kinds = [[share.what, KINDS[share.what], *share.cells().values()] for share in kinds]
    of_combinations = [
        [*map(verdict, wanted), *share.cells().values()]
        for wanted, share in zip(COMBINATIONS, combinations, strict=True)
    ]
    shown, problem = _shown(outcomes, comparison, reporter)
    notes = ["Only-Self and Only-Cross are models of their own, not the branches inside MASTAF."]
    return Cases(
        grid_of(
            f"{anchor}-cases",
            "How often each kind of case occurs",
            ["kind", "meaning", *figures],
            [list(map(Cell, line)) for line in of_kinds],
            notes,
        ),
        grid_of(
            f"{anchor}-outcomes",
            "Who is right, all outcomes",
            [*(MODELS[name] for name in BRANCHES), *figures],
            [list(map(Cell, line)) for line in of_combinations],
        ),
        shown,
        problem,
    )


def _the_four(comparison: Comparison) -> list[Run] | None:
    """The runs of the four models, all trained or all untrained; trained ones if there are both."""
    groups: dict[str, dict[str, Run]] = {}
    for one in comparison.methods:
        if one.method in MODELS:
            state = "trained" if one.first.declared.trained else "untrained"
            groups.setdefault(state, {})[one.method] = one.first
    either = {name: run for group in groups.values() for name, run in group.items()}
    for state in ("trained", "untrained"):
        runs = either | groups.get(state, {})
        if state in groups and runs.keys() == MODELS.keys():
            return list(runs.values())
    return None


def _shown(
    outcomes: Outcomes, comparison: Comparison, reporter: Reporter | None
) -> tuple[list[Shown], str]:
    """The clearest case of each kind, or why none is drawn."""
    if reporter is None:
        return [], "fvbench report draws them."
    drawn = []
    try:
        clearest = {kind: queries[0] for kind in KINDS if (queries := outcomes.find(kind))}
        if not clearest:
            return [], ""
        examiner = Examiner(outcomes, reporter, comparison.opened)
        for kind, query in clearest.items():
            case = examiner.examine(query)
            drawn.append(
                Shown(
                    f"{kind}: the clearest, episode {query.episode}, query {query.query}",
                    picture(describe(case), case_figure(case)),
                    picture(ATTENTION, attention_figure(case)),
                )
            )
    except UserError as error:
        return [], str(error)
    return drawn, ""
