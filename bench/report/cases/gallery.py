"""A folder of cases: those that are drawn, their pictures, and the counts of all."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.report.cases.drawing import attention_figure, case_figure, describe
from bench.report.cases.examination import Case
from bench.report.cases.outcomes import KINDS, Outcomes, Query
from bench.report.charts.style import save_figure
from episodes.atomic import write_text
from episodes.errors import UserError
from episodes.schema import dump

OF_A_KIND = 3
"""Number of cases drawn where one kind is asked for."""
FORMATS = ("png", "svg")


def chosen(outcomes: Outcomes, episodes: str | None, kind: str | None) -> list[Query]:
    """Return the queries to draw: those named, the clearest of a kind, or one of each kind.

    Raises:
        UserError: both are given, or one of them names what is not there.
    """
    if episodes is not None and kind is not None:
        raise UserError("--episodes and --find both say what to draw; give one of them")
    if episodes is not None:
        return [_named(outcomes, word.strip()) for word in episodes.split(",")]
    if kind is not None:
        if kind not in KINDS:
            raise UserError(f"--find {kind!r} is not one of {', '.join(KINDS)}")
        return outcomes.find(kind)[:OF_A_KIND]
    return [queries[0] for kind in KINDS if (queries := outcomes.find(kind))]


def _named(outcomes: Outcomes, word: str) -> Query:
    """The query that a word such as 40:3 names; of 12, the first that the models disagree on."""
    match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,9}))?", word)
    if match is None:
        raise UserError(
            f"--episodes: {word!r} is not an episode; give numbers such as 12,40:3, where 40:3 is"
            " query 3 of episode 40"
        )
    size, numbers, episode, query = outcomes.size, outcomes.numbers, int(match[1]), match[2]
    if episode not in numbers or int(query or 0) >= size.query:
        which = f"episodes {numbers[0]} to {numbers[-1]}"
        if numbers[-1] >= size.episode:  # some were left out
            which = f"{size.episode:,} of the {which}"
        raise UserError(
            f"--episodes {word}: the runs have {which}, with queries 0 to {size.query - 1}"
        )
    return outcomes.disagreement(episode) if query is None else Query(episode, int(query))


def write_case(folder: Path, case: Case) -> list[str]:
    """Draw both pictures of a case into a folder; return the names of the files."""
    stem = f"episode-{case.query.episode}-query-{case.query.query}"
    files = []
    for name, draw in ((stem, case_figure), (f"{stem}-attention", attention_figure)):
        figure = draw(case)
        for suffix in FORMATS:
            files.append(f"{name}.{suffix}")
            save_figure(figure, folder / files[-1])
    return files


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
    kinds = [{"kind": share.what} | share.cells() for share in outcomes.kinds()]
    notes = (
        "Over episodes: other draws of the same videos. Only-Self and Only-Cross are models of\n"
        "their own, not the branches inside MASTAF.\n"
    )
    return "\n".join([_table(kinds), "", _table(outcomes.combination_lines()), notes])


def _table(lines: Sequence[Mapping[str, str]]) -> str:
    aligned = ["left"] * (len(lines[0]) - 4) + ["right"] * 4
    return tabulate(lines, "keys", tablefmt="simple", disable_numparse=True, colalign=aligned)
