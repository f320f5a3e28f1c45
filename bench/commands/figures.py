"""``fvbench figures``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import OwnVideos, Plugin, Reference, RunsOrRows


def figures(
    places: RunsOrRows,
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg or .pdf.")],
    chart: Annotated[str, typer.Option(help="Which one: fvbench list charts.")] = "banks",
    reference: Reference = None,
    data: OwnVideos = None,
    plugin: Plugin = None,
) -> None:
    """Draw finished runs as a chart in a file of its own.

    `fvbench list charts` has the names; the report has those of one bank.

    exit status
      0  done
      2  nothing drawn: no run there, or runs that cannot be compared

    Example: fvbench figures results/local/run --out results/local/accuracy.svg
    """
    from bench.commands.arguments import gather
    from bench.comparison.summary import compare
    from bench.report.charts.catalogue import draw
    from bench.report.charts.style import save_figure

    runs, banks = gather(places, data)
    save_figure(draw(chart, compare(runs, reference, banks)), out)
    typer.echo(f"wrote {out}")
