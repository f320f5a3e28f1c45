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
    half,
    marked,
    verdict_cell,
)
from bench.comparison.notes import what_varies
from bench.report.assembly import SCRIPT, STYLE_SHEET, assembled, chart
from bench.report.charts.forest import about_differences, difference_forest
from bench.report.grid import Cell, Grid, grid_of
from bench.report.provenance import provenance
from bench.report.sections import headline, ranking
from bench.runs.by_method import MethodRuns
from bench.runs.run import Run
from bench.site.board import Board, Line, Place, anchor, idea, is_rendered, run_id
from bench.site.citations import bibliography, of_method
from episodes.atomic import write_text
from episodes.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"
STYLES = (STYLE_SHEET, TEMPLATES / "site.css")
MARK = ".fvbench-site"
"""A file that marks the folder of a site."""
BANKS_FROM = 4
"""Index of the first column that holds a bank."""


def write_site(folder: Path, board: Board, title: str) -> int:
    """Write a site into a folder, replacing a previous one, and return the number of pages.

    Raises:
        UserError: the folder holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UserError(f"{folder} holds files that are not a site of ours; choose another --out")
    pages = dict(_pages(board, title))
    # The mark comes first: an interrupted command can be given again.
    write_text(folder / MARK, "Written by fvbench publish, which replaces it.\n")
    for old in sorted(folder.rglob("*.html")):
        if str(old.relative_to(folder).as_posix()) not in pages:
            old.unlink()
    for name, page in pages.items():
        write_text(folder / name, page)
    return len(pages)


def _pages(board: Board, title: str) -> list[tuple[str, str]]:
    pages = [("index.html", _index(board, title))]
    pages += [(_bank_file(one), _bank_page(one, title)) for one in board.comparisons]
    pages += [
        (_method_file(name), _method_page(name, lines, title))
        for name, lines in board.methods.items()
    ]
    pages += [
        (_run_file(run), _run_page(place, run, title))
        for place in board.places()
        for run in place.method.runs
    ]
    return pages


def _bank_file(one: Comparison) -> str:
    return f"banks/{anchor(one.bank)}.html"


def _method_file(name: str) -> str:
    return f"methods/{anchor(name)}.html"


def _run_file(run: Run) -> str:
    return f"runs/{run_id(run)}.html"


def _page(template: str, up: str, site: str, **content: object) -> str:
    return assembled(
        template,
        {"up": up, "site": site, **content},
        "bench.site",
        STYLES,
        [SCRIPT, TEMPLATES / "filters.js"],
    )


def _index(board: Board, title: str) -> str:
    titles = ["method", "backbone", "trained", "needs", *(one.bank for one in board.comparisons)]
    lines = [_board_line(line, board) for line in board.lines]
    notes = [
        f"Accuracy in per cent, and its 95% interval over {what_varies(board.comparisons)}. A"
        " bank's page says which differences are significant, and from how many seeds a method was"
        " trained."
    ]
    kinds = ["rendered" if is_rendered(one) else "real" for one in board.comparisons]
    columns = {
        wanted: ",".join(str(n) for n, kind in enumerate(kinds, BANKS_FROM) if kind == wanted)
        for wanted in ("rendered", "real")
    }
    filters = {
        "backbone": (1, sorted({line.row.backbone or "–" for line in board.lines})),
        "training": (2, sorted({line.training for line in board.lines})),
        "needs": (3, sorted({line.needs or "–" for line in board.lines})),
    }
    banks = [
        {
            "file": _bank_file(one),
            "name": one.bank,
            "episodes": one.rows[0].episodes,
            "methods": len({row.method for row in one.rows}),
            "kind": kind,
            "sha256": one.bank_sha256,
        }
        for one, kind in zip(board.comparisons, kinds, strict=True)
    ]
    runs = sum(len(place.method.runs) for place in board.places())
    return _page(
        "index.html",
        "",
        title,
        grid=grid_of("board", "Methods on banks", titles, lines, notes),
        filters=filters,
        banks_from=BANKS_FROM,
        columns={kind: numbers for kind, numbers in columns.items() if numbers},
        banks=banks,
        counts=(len(board.methods), len(board.comparisons), runs),
    )


def _board_line(line: Line, board: Board) -> list[Cell]:
    places = map(line.on, board.comparisons)
    return [
        Cell(marked(line.row), link=_method_file(line.row.method)),
        Cell(line.row.backbone or "–"),
        Cell(line.training),
        Cell(line.needs or "–"),
        *(
            Cell("")
            if place is None
            else Cell(accuracy_cell(place.row), link=_run_file(place.method.first))
            for place in places
        ),
    ]


def _bank_page(one: Comparison, site: str) -> str:
    identity = one.methods[0].first.identity
    facts = {
        "data set": identity.dataset,
        "split": identity.split,
        "protocol": identity.protocol,
        "way, shot": f"{identity.way}, {identity.shot}",
        "episodes": f"{one.rows[0].episodes:,}",
        "sha256 of the episodes": one.bank_sha256,
    }
    table = ranking(one, "bank")
    about = about_differences(one)
    lines = [
        [replace(line[0], link=f"../{_method_file(row.method)}"), *line[1:]]
        for row, line in zip(one.rows, table.lines, strict=True)
    ]
    return _page(
        "bank.html",
        "../",
        site,
        name=one.bank,
        facts=facts,
        headline=headline(one),
        ranking=replace(table, lines=lines),
        differences=about and chart("differences", about, partial(difference_forest, one)),
        known=one.opened is not None,
    )


def _method_page(name: str, lines: Sequence[Line], site: str) -> str:
    first = lines[0].places[0].method.first
    declared = first.declared
    sentence, paragraphs = idea(name, declared)
    settings: dict[str, dict[str, object]] = {}
    for place in (place for line in lines for place in line.places):
        stated = place.method.first.identity.settings
        if stated is not None:
            settings.setdefault(json.dumps(stated, sort_keys=True), dict(stated))
    return _page(
        "method.html",
        "../",
        site,
        name=name,
        idea=sentence,
        paragraphs=paragraphs,
        source=declared.source,
        differs=declared.differs,
        bibtex=bibliography([of_method(name, declared.source)]),
        settings=list(settings.values()),
        rows=_rows_of(lines),
        runs=_runs_of(lines),
    )


def _rows_of(lines: Sequence[Line]) -> Grid:
    rows = [
        [
            Cell(place.comparison.bank, link=f"../{_bank_file(place.comparison)}"),
            Cell(place.row.trained_words),
            Cell(place.row.backbone or "–"),
            Cell(accuracy_cell(place.row)),
            Cell(half(place.row.interval)),
            Cell(place.comparison.reference),
            Cell(difference_cell(place.row)),
            Cell(verdict_cell(place.row)),
        ]
        for line in lines
        for place in line.places
    ]
    titles = ["bank", "trained", "backbone", "accuracy %", "± over\nepisodes"]
    titles += ["against", "points", "verdict"]
    return grid_of("rows", "Every row", titles, rows)


def _runs_of(lines: Sequence[Line]) -> Grid:
    rows = [
        [
            Cell(run_id(run), link=f"../{_run_file(run)}"),
            Cell(place.comparison.bank),
            Cell(place.row.trained_words.partition(",")[0]),
            Cell(str(run.identity.training.seed) if run.identity.training else "–"),
            Cell(f"{100 * run.episode_accuracy().mean():.2f}"),
        ]
        for line in lines
        for place in line.places
        for run in place.method.runs
    ]
    titles = ("run", "bank", "trained", "seed of training", "accuracy %")
    return grid_of("runs-of", "Every run", titles, rows)


def _run_page(place: Place, run: Run, site: str) -> str:
    method = run.identity.method
    alone = replace(place.comparison, methods=[MethodRuns([run])], rows=[place.row])
    return _page(
        "run.html",
        "../",
        site,
        method=method,
        method_file=_method_file(method),
        bank=place.comparison.bank,
        bank_file=_bank_file(place.comparison),
        accuracy=f"{100 * run.episode_accuracy().mean():.2f}",
        row=accuracy_cell(place.row),
        over=place.row.widest,
        seeds=len(place.method.runs),
        provenance=provenance([alone]),
    )
