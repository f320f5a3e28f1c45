"""``fvbench new-backbone``."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """Write a new backbone that works as it is, and its test.

Makes NAME.py, in which a comment says where your network goes, and test_NAME.py, which tries the
rules that every backbone keeps. Nothing is overwritten. Commands find the file by --plugin.

\b
exit status
  0  written; the next commands are printed
  2  nothing written: the name is invalid or taken, or a file is there already
"""
EPILOG = "\b\nExample: fvbench new-backbone my_backbone --into results/local/mine"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new-backbone", help=HELP, epilog=EPILOG)(new_backbone)


def new_backbone(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by underscores.")],
    into: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
) -> None:
    """Write a new backbone."""
    from bench.features.backbones import backbones
    from bench.plugins.new_plugin import write_backbone

    written = write_backbone(name, into, backbones())
    typer.echo(f"wrote {written.file} and {written.test}; next:\n")
    for command in written.next_commands():
        typer.echo(f"  {command}")
