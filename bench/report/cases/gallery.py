"""A folder of cases: which are drawn, their pictures, and the counts of all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.report.cases.drawing import attention_figure, case_figure, describe
from bench.report.cases.examination import Case
from bench.report.cases.outcomes import (
    BRANCHES,
    COMBINATIONS,
    KINDS,
    MODELS,
    Kind,
    Outcomes,
    Query,
    Share,
    verdict,
)
from bench.report.charts.style import save_figure
from episodes.atomic import write_text
from episodes.errors import UserError
from episodes.schema import dump

OF_A_KIND = 3
"""Cases drawn where one kind is asked for."""
FORMATS = ("png", "svg")


def chosen(outcomes: Outcomes, episodes: str | None, kind: str | None) -> list[Query]:
    """Return what to draw: the episodes named, or the clearest of a kind, or one of each kind.

    Raises:
        UserError: both are given, or one of them names what is not there.
    """
    if episodes is not None and kind is not None:
        raise UserError("--episodes and --find both say what to draw; give one of them")
    if episodes is not None:
        return [_named(outcomes, word.strip()) for word in episodes.split(",")]
    if kind is not None:
        return outcomes.find(as_kind(kind))[:OF_A_KIND]
    return [found[0] for kind in KINDS if (found := outcomes.find(kind))]


def as_kind(name: str) -> Kind:
    """Return the kind of a name.

    Raises:
        UserError: there is none.
    """
    for kind in KINDS:
        if kind == name:
            return kind
    raise UserError(f"--find {name!r} is not one of {', '.join(KINDS)}")


def _named(outcomes: Outcomes, word: str) -> Query:
    """The query that a word such as 12 or 40:3 names; of 12, the first one that is contested."""
    first, colon, second = word.partition(":")
    size = outcomes.size
    if not first.isdecimal() or (colon and not second.isdecimal()):
        raise UserError(
            f"--episodes: {word!r} is not an episode; give numbers such as 12,40:3, where 40:3 is"
            " query 3 of episode 40"
        )
    if int(first) >= size.episode or int(second or 0) >= size.query:
        raise UserError(
            f"--episodes {word}: the runs have episodes 0 to {size.episode - 1}, with queries 0 to"
            f" {size.query - 1}"
        )
    return Query(int(first), int(second)) if colon else outcomes.disagreement(int(first))


def write_case(folder: Path, case: Case) -> list[str]:
    """Draw both pictures of a case into a folder; return the names of the files."""
    stem = f"episode-{case.query.episode}-query-{case.query.query}"
    figures = {stem: case_figure(case), f"{stem}-attention": attention_figure(case)}
    names = [(name, f"{name}.{suffix}") for name in figures for suffix in FORMATS]
    for name, file in names:
        save_figure(figures[name], folder / file)
    return [file for _, file in names]


def write_index(folder: Path, outcomes: Outcomes, cases: Sequence[Case]) -> dict[str, Any]:
    """Write ``cases.json``: all counts, and what was drawn; return its content."""
    drawn = [
        {
            "episode": case.query.episode,
            "query": case.query.query,
            "classes": list(case.classes),
            "label": case.label,
            "angles": {name: angles.tolist() for name, angles in case.angles.items()},
            "right": {name: case.right(name) for name in case.angles},
            "description": describe(case),
        }
        for case in cases
    ]
    content = outcomes.content() | {"drawn": drawn}
    write_text(folder / "cases.json", dump(content))
    return content


def as_text(outcomes: Outcomes) -> str:
    """Return both tables of counts for a terminal."""
    kinds = [(kind, *_figures(share)) for kind, share in zip(KINDS, outcomes.kinds(), strict=True)]
    combinations = [
        (*map(verdict, wanted), *_figures(share))
        for wanted, share in zip(COMBINATIONS, outcomes.combinations(), strict=True)
    ]
    models = [MODELS[name].replace("-", "-\n") for name in BRANCHES]
    columns = ("queries", "% of\nall", "95% over\nepisodes", "over videos\nand classes")
    notes = (
        "Over episodes: other draws of the same videos. Only-Self and Only-Cross are models of\n"
        "their own, not the branches inside MASTAF."
    )
    return "\n".join(
        [
            _table(kinds, ("kind", *columns)),
            "",
            _table(combinations, (*models, *columns)),
            f"{notes}\n",
        ]
    )


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    aligned = ["left"] * (len(headers) - 4) + ["right"] * 4
    return tabulate(rows, headers, tablefmt="simple", disable_numparse=True, colalign=aligned)


def _figures(share: Share) -> tuple[str, str, str, str]:
    return (
        f"{share.queries:,}",
        f"{100 * share.share:.2f}",
        per_cent(share.interval),
        per_cent(share.new_classes),
    )


def per_cent(interval: tuple[float, float] | None) -> str:
    """The ends of an interval in per cent, or a dash where it is unknown."""
    return "–" if interval is None else " to ".join(f"{100 * end:.2f}" for end in interval)
