"""``fvbench report``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    Cache,
    OwnVideos,
    Plugin,
    Reference,
    RunsOrRows,
)
from episodes.errors import UserError


def report(
    places: RunsOrRows,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, .html; report.html beside the runs if left out."),
    ] = None,
    reference: Reference = None,
    data: OwnVideos = None,
    cache: Cache = None,
    plugin: Plugin = None,
    thumbnails: Annotated[
        bool,
        typer.Option(
            "--thumbnails",
            help="Show frames of videos that this program has not drawn, such as your own.",
        ),
    ] = False,
) -> None:
    """Write everything about finished runs into one HTML file.

    Holds the comparison with its intervals as tables and charts, accuracy against speed, classes
    and confusions, cases where MASTAF and its branches were run, the identity of every run, and the
    commands that make it again. The file needs no network and no other file.

    exit status
      0  done
      2  nothing written: no run there, or runs that cannot be compared

    Example: fvbench report results/local/run --out results/local/report.html
    """
    from bench.commands.arguments import gather
    from bench.comparison.summary import compare
    from bench.machine.progress import Reporter
    from bench.report.page import write_report

    if out is None:  # beside the runs, not in a run's own folder
        is_run = places[0].is_file() or (places[0] / "run.json").is_file()
        out = (places[0].parent if is_run else places[0]) / "report.html"
    if out.is_dir():
        raise UserError(f"--out {out} is a folder; name a file in it: --out {out / 'report.html'}")
    if out.suffix != ".html":
        raise UserError(f"--out {out}: the report is a page; name a file that ends in .html")
    runs, banks = gather(places, data)
    write_report(out, compare(runs, reference, banks), Reporter(), thumbnails)
    typer.echo(f"wrote {out}")
