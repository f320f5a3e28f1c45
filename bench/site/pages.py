"""The pages of a leaderboard: an index, and one for each bank, method and run.

Every page is self-contained, so the site works from a folder, a memory stick or any file server.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.comparison.frame import (
    Comparison,
    accuracy_cell,
    difference_cell,
    marked,
    over_episodes,
    verdict_cell,
)
from bench.comparison.notes import what_varies
from bench.report.assembly import assembled, chart
from bench.report.charts.forest import about_differences, difference_forest
from bench.report.grid import Cell, Grid
from bench.report.provenance import provenance
from bench.report.sections import headline, ranking
from bench.report.sources import bibliography, of_method
from bench.runs.by_method import MethodRuns
from bench.runs.run import Run
from bench.site.board import Board, Line, MethodOnBank, idea, kind_of, run_id, slug
from episodes.atomic import write_text
from episodes.errors import UserError

MARK = ".fvbench-site"
"""A file that marks the folder of a site."""
ROW_TITLES = (
    *("bank", "trained", "backbone", "accuracy %", "± over\nepisodes"),
    *("against", "points", "verdict"),
)
RUN_TITLES = ("run", "bank", "trained", "seed of training", "accuracy %")
"""Titles of the tables on a method's page."""


def write_site(folder: Path, board: Board, title: str) -> int:
    """Write a site into a folder, replacing a previous one, and return the number of pages.

    Raises:
        UserError: the folder holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UserError(f"{folder} holds files that are not a site of ours; choose another --out")
    pages = _pages(board, title)
    # The mark comes first: an interrupted command can be given again.
    write_text(folder / MARK, "Written by fvbench publish, which replaces it.\n")
    for old in sorted(folder.rglob("*.html")):
        if old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, page in pages.items():
        write_text(folder / name, page)
    return len(pages)


def _pages(board: Board, site: str) -> dict[str, str]:
    """Every page by its path, made of the template and content of its kind."""
    contents = {"index.html": ("index.html", _index(board))}
    for one in board.comparisons:
        contents[_bank_file(one)] = "bank.html", _bank(one)
    for name, lines in board.methods.items():
        contents[_method_file(name)] = "method.html", _method(name, lines)
    for place in board.places:
        for run in place.method.runs:
            contents[_run_file(run)] = "run.html", _run(place, run)
    return {
        file: assembled(template, {"site": site, **content}, "bench.site")
        for file, (template, content) in contents.items()
    }


def _bank_file(one: Comparison) -> str:
    return f"banks/{slug(one.bank)}.html"


def _method_file(name: str) -> str:
    return f"methods/{slug(name)}.html"


def _run_file(run: Run) -> str:
    return f"runs/{run_id(run)}.html"


def _index(board: Board) -> dict[str, object]:
    titles = ["method", "backbone", "trained", "needs"]
    banks = [one.bank for one in board.comparisons]
    lines: list[list[str | Cell]] = []
    for line in board.lines:
        first, row = line[0], line[0].row
        accuracies = {
            place.comparison.bank: Cell(
                accuracy_cell(place.row), link=_run_file(place.method.first)
            )
            for place in line
        }
        lines.append(
            [
                Cell(marked(row), link=_method_file(row.method)),
                row.backbone or "–",
                first.training,
                first.method.first.declared.needs or "–",
                *(accuracies.get(bank, "") for bank in banks),
            ]
        )
    columns: dict[str, list[int]] = {}
    for column, one in enumerate(board.comparisons, start=len(titles)):
        columns.setdefault(kind_of(one), []).append(column)
    notes = [
        f"Accuracy in per cent, and its 95% interval over {what_varies(board.comparisons)}. A"
        " bank's page says which differences are significant, and from how many seeds a method was"
        " trained."
    ]
    return {
        "board": board,
        "grid": Grid("board", "Methods on banks", [*titles, *banks], lines, notes),
        "filters": {
            name: (column, sorted({str(line[column]) for line in lines}))
            for column, name in enumerate(("backbone", "training", "needs"), start=1)
        },
        "first_bank": len(titles),
        "columns": columns,
        "runs": sum(len(place.method.runs) for place in board.places),
        "bank_file": _bank_file,
        "kind_of": kind_of,
    }


def _bank(one: Comparison) -> dict[str, object]:
    identity = one.methods[0].first.identity
    facts = {
        "data set": identity.dataset,
        "split": identity.split,
        "protocol": identity.protocol,
        "way, shot": f"{identity.way}, {identity.shot}",
        "episodes": f"{one.rows[0].episodes:,}",
        "sha256 of the episodes": one.bank_sha256,
    }
    grid = ranking(one, "bank")
    lines = [
        [Cell(marked(row), link=f"../{_method_file(row.method)}"), *line[1:]]
        for row, line in zip(one.rows, grid.lines, strict=True)
    ]
    caption = about_differences(one)
    return {
        "title": one.bank,
        "facts": {name: value for name, value in facts.items() if value},
        "headline": headline(one),
        "ranking": replace(grid, lines=lines),
        "differences": caption and chart("differences", caption, partial(difference_forest, one)),
        "is_known": one.opened is not None,
    }


def _method(name: str, lines: Sequence[Line]) -> dict[str, object]:
    places = [place for line in lines for place in line]
    declared = places[0].method.first.declared
    sentence, paragraphs = idea(name, declared)
    stated = [place.method.first.identity.settings for place in places]
    settings = {json.dumps(one, sort_keys=True): one for one in stated if one is not None}
    rows = [
        (
            Cell(place.comparison.bank, link=f"../{_bank_file(place.comparison)}"),
            place.row.trained_words,
            place.row.backbone or "–",
            accuracy_cell(place.row),
            over_episodes(place.row),
            place.comparison.reference,
            difference_cell(place.row),
            verdict_cell(place.row),
        )
        for place in places
    ]
    runs = [
        (
            Cell(run_id(run), link=f"../{_run_file(run)}"),
            place.comparison.bank,
            place.training,
            str(run.identity.training.seed) if run.identity.training else "–",
            _accuracy(run),
        )
        for place in places
        for run in place.method.runs
    ]
    return {
        "title": name,
        "idea": sentence,
        "paragraphs": paragraphs,
        "declared": declared,
        "bibtex": bibliography([of_method(name, declared.source)]),
        "settings": list(settings.values()),
        "rows": Grid("rows", "Every row", ROW_TITLES, rows),
        "runs": Grid("runs-of", "Every run", RUN_TITLES, runs),
    }


def _run(place: MethodOnBank, run: Run) -> dict[str, object]:
    alone = replace(place.comparison, methods=[MethodRuns([run])], rows=[place.row])
    return {
        "title": f"{place.row.method} on {place.comparison.bank}",
        "place": place,
        "method_file": _method_file(place.row.method),
        "bank_file": _bank_file(place.comparison),
        "accuracy": _accuracy(run),
        "row": accuracy_cell(place.row),
        "provenance": provenance([alone]),
    }


def _accuracy(run: Run) -> str:
    return f"{100 * run.episode_accuracy().mean():.2f}"
