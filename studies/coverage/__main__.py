"""Try intervals, verdicts and the gate on simulated worlds: the tables of docs/statistics.md.

``python -m studies.coverage --write`` makes all tables, puts them between their marks in the pages
and draws the figure. It takes ten minutes on an idle core, in proportion to the number of worlds.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from bench.machine.progress import Reporter
from bench.report.charts.style import save_figure
from studies.coverage.tables import TABLES, figure, table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "statistics.md", DOCS / "tutorial" / "gating-ci.md")
FIGURE = DOCS / "coverage.svg"
BLOCK = re.compile(r"(<!-- studies\.coverage: ([^\n]*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main(
    worlds: Annotated[int, typer.Option(help="How many worlds are drawn for most tables.")] = 200,
    episodes: Annotated[int, typer.Option(help="Of the bank on which most are tried.")] = 2000,
    only: Annotated[str, typer.Option(help="A table by name, instead of all.")] = "",
    processes: Annotated[int, typer.Option(help="How many tables are made at once.")] = 1,
    write: Annotated[bool, typer.Option(help="Put tables and figure into the pages.")] = False,
) -> None:
    """Print the coverage of intervals and the errors of verdicts, as Markdown tables."""
    names = [name for name in TABLES if only in {"", name}]
    found: dict[str, str] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool, Reporter().stage("tables") as progress:
        for name, text in zip(
            names, pool.map(table, names, repeat(worlds), repeat(episodes)), strict=True
        ):
            typer.echo(f"### {name}\n\n{text}\n")
            found[name] = text
            progress(len(found), len(names))
    if write:
        for page in PAGES:
            page.write_text(renewed(page.read_text(encoding="utf-8"), found), encoding="utf-8")
        if not only:
            save_figure(figure(worlds), FIGURE)


def renewed(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables replaced by the new ones."""

    def block(found: re.Match[str]) -> str:
        text = tables.get(found[2])
        return found[0] if text is None else f"{found[1]}{text}\n{found[4]}"

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    typer.run(main)
