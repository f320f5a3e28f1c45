"""Cases in the report: their counts, and the clearest of each kind as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.frame import Comparison
from bench.machine.progress import Reporter
from bench.report.assembly import Figure, picture
from bench.report.cases.drawing import attention_figure, case_figure, describe
from bench.report.cases.examination import Case, Examiner
from bench.report.cases.gallery import per_cent
from bench.report.cases.outcomes import (
    BRANCHES,
    COMBINATIONS,
    KINDS,
    MEANINGS,
    MODELS,
    Outcomes,
    Share,
    verdict,
)
from bench.report.grid import Cell, Grid, grid_of
from bench.runs.run import Run
from episodes.errors import UserError

ATTENTION = (
    "MASTAF's attention over the same frames: the brighter a position, the more it counts; the"
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
    """Count and draw cases where a comparison has all four models; else None."""
    runs = _the_four(comparison)
    if runs is None:
        return None
    outcomes = Outcomes(runs, [] if comparison.opened is None else [comparison.opened])
    counts = [
        {"kind": Cell(kind), "meaning": Cell(MEANINGS[kind])} | _figures(share)
        for kind, share in zip(KINDS, outcomes.kinds(), strict=True)
    ]
    combinations = [
        {MODELS[name]: Cell(verdict(one)) for name, one in zip(BRANCHES, wanted, strict=True)}
        | _figures(share)
        for wanted, share in zip(COMBINATIONS, outcomes.combinations(), strict=True)
    ]
    shown, problem = _shown(outcomes, comparison, reporter)
    notes = ["Only-Self and Only-Cross are models of their own, not the branches inside MASTAF."]
    return Cases(
        grid_of(f"{anchor}-cases", "How often each kind of case occurs", counts, notes),
        grid_of(f"{anchor}-outcomes", "Who is right, all outcomes", combinations),
        shown,
        problem,
    )


def _the_four(comparison: Comparison) -> list[Run] | None:
    """The runs of the four models after the same training, the trained ones if there are both."""
    groups: dict[str, dict[str, Run]] = {}
    for one in comparison.methods:
        if one.method in MODELS:
            whether = "trained" if one.first.declared.trained else "untrained"
            groups.setdefault(whether, {})[one.method] = one.first
    plain = {name: run for group in groups.values() for name, run in group.items()}
    for whether in ("trained", "untrained"):
        found = plain | groups.get(whether, {})
        if whether in groups and found.keys() == MODELS.keys():
            return list(found.values())
    return None


def _shown(
    outcomes: Outcomes, comparison: Comparison, reporter: Reporter | None
) -> tuple[list[Shown], str]:
    """The clearest case of each kind, or why it is not drawn."""
    if reporter is None:
        return [], "fvbench report draws them."
    found = {kind: queries[0] for kind in KINDS if (queries := outcomes.find(kind))}
    if not found:
        return [], ""
    try:
        examiner = Examiner(outcomes, reporter, comparison.opened)
        return [_draw(kind, examiner.examine(query)) for kind, query in found.items()], ""
    except UserError as error:
        return [], str(error)


def _draw(kind: str, case: Case) -> Shown:
    return Shown(
        f"{kind}: the clearest, episode {case.query.episode}, query {case.query.query}",
        picture(describe(case), case_figure(case)),
        picture(ATTENTION, attention_figure(case)),
    )


def _figures(share: Share) -> dict[str, Cell]:
    return {
        "queries": Cell(f"{share.queries:,}"),
        "% of all": Cell(f"{100 * share.share:.2f}"),
        "95% over episodes": Cell(per_cent(share.interval)),
        "over videos and classes": Cell(per_cent(share.new_classes)),
    }
