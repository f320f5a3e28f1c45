"""``fvbench publish``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import OwnVideos, Plugin, Reference


def publish(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Run directories, folders of them, or files of `fvbench submit`."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the site; a site there is replaced.")],
    title: Annotated[str, typer.Option(help="Title of the site.")] = "Leaderboard",
    reference: Reference = None,
    data: OwnVideos = None,
    plugin: Plugin = None,
) -> None:
    """Make a leaderboard of runs: a static site.

    The site has one table of methods and banks that can be filtered and sorted, and a page for each
    bank, method and run. It needs no server and no network: open index.html, or put the folder on
    any static host. Takes run directories, folders that hold some, and files that `fvbench submit`
    wrote, which are checked as `fvbench verify` does. The same run in several places counts once.

    exit status
      0  done
      2  nothing written: no run there, one that fails the checks, or a folder of something else

    Example: fvbench publish results/local/try --out results/local/site
    """
    from bench.commands.arguments import gather, opener
    from bench.site.board import board
    from bench.site.pages import write_site
    from bench.site.submission import unpack

    files = [place for place in places if place.is_file()]
    folders = [place for place in places if not place.is_file()]
    runs, banks = gather(folders, data) if folders else ([], [])
    for file in files:
        found = unpack(file, opener(None, data))
        runs.append(found.run)
        banks.append(found.bank)
    pages = write_site(out, board(runs, reference, banks), title)
    typer.echo(f"wrote {pages} pages: {out / 'index.html'}")
