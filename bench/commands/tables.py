"""``fvbench tables``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.summary import Comparison

HELP = """Print the comparison of finished runs.

Takes run directories and folders that hold some, at any depth. Runs on one bank are compared
among themselves; each bank adds two columns.

\b
exit status
  0  done
  2  nothing to show: no run there, or runs that cannot be compared
"""
EPILOG = "Example: fvbench tables results/local/run --format markdown"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tables", help=HELP, epilog=EPILOG)(tables)


def tables(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Where the runs are.")],
    style: Annotated[
        str, typer.Option("--format", help="terminal, markdown, latex or csv.")
    ] = "terminal",
    reference: Annotated[
        str | None,
        typer.Option(
            help="Method the others are compared with; protonet, or the first by name.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print the comparison of finished runs."""
    from bench.run_directory import find_runs, read_run
    from bench.summary import compare

    paths = dict.fromkeys(path for folder in folders for path in find_runs(folder))
    comparisons = compare([read_run(path) for path in paths], reference)
    typer.echo(shown(comparisons, style, json), nl=False)


def shown(comparisons: "Sequence[Comparison]", style: str, json: bool) -> str:
    """Return comparisons as a table, or as JSON."""
    from bench.run_directory import dump
    from bench.tables import render

    if json:
        return dump({"banks": [comparison.content() for comparison in comparisons]})
    return render(comparisons, style)
