"""``fvbench figures``."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """Draw the accuracy of every method with its interval, one mark for each bank.

\b
exit status
  0  done
  2  nothing drawn: no run there, or runs that cannot be compared
"""
EPILOG = "Example: fvbench figures results/local/run --out results/local/accuracy.svg"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("figures", help=HELP, epilog=EPILOG)(figures)


def figures(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Where the runs are.")],
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg or .pdf.")],
) -> None:
    """Draw the comparison of finished runs."""
    from bench.figures import accuracy_figure, save_figure
    from bench.run_directory import find_runs, read_run
    from bench.summary import compare

    paths = dict.fromkeys(path for folder in folders for path in find_runs(folder))
    save_figure(accuracy_figure(compare([read_run(path) for path in paths])), out)
    typer.echo(f"wrote {out}")
