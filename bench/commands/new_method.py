"""``fvbench new-method``."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """Write a new method that works as it is, and its test.

Makes NAME.py, in which a comment says where your idea goes, and test_NAME.py, which tries the
rules that every method keeps. Nothing is overwritten. Nothing else has to be edited: commands find
the file by --plugin.

\b
exit status
  0  written; the next three commands are printed
  2  nothing written: the name is invalid or taken, or a file is there already
"""
EPILOG = "\b\nExample: fvbench new-method my_method --into results/local/mine"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new-method", help=HELP, epilog=EPILOG)(new_method)


def new_method(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by underscores.")],
    into: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
) -> None:
    """Write a new method."""
    from bench.plugins.new_plugin import write_method
    from bench.plugins.registry import all_methods

    written = write_method(name, into, all_methods())
    typer.echo(f"wrote {written.file} and {written.test}; next:\n")
    for command in written.next_commands():
        typer.echo(f"  {command}")
