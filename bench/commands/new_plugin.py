"""``fvbench new-method`` and ``fvbench new-backbone``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.plugins.new_plugin import Written

Name = Annotated[str, typer.Argument(help="Lower-case words joined by underscores.")]
Into = Annotated[Path, typer.Option(help="Folder to write to.")]


def new_method(name: Name, into: Into = Path()) -> None:
    """Write a new method that works as it is, and its test.

    Makes NAME.py, in which a comment says where your idea goes, and test_NAME.py, which tries the
    rules that every method keeps. Nothing is overwritten. Nothing else has to be edited: commands
    find the file by --plugin.

    exit status
      0  written; the next three commands are printed
      2  nothing written: the name is invalid or taken, or a file is there already

    Example: fvbench new-method my_method --into results/local/mine
    """
    from bench.plugins.new_plugin import write_plugin
    from bench.plugins.registry import all_methods

    _say(write_plugin("method", name, into, all_methods()))


def new_backbone(name: Name, into: Into = Path()) -> None:
    """Write a new backbone that works as it is, and its test.

    Makes NAME.py, in which a comment says where your network goes, and test_NAME.py, which tries
    the rules that every backbone keeps. Nothing is overwritten. Commands find the file by --plugin.

    exit status
      0  written; the next commands are printed
      2  nothing written: the name is invalid or taken, or a file is there already

    Example: fvbench new-backbone my_backbone --into results/local/mine
    """
    from bench.features.backbones import backbones
    from bench.plugins.new_plugin import write_plugin

    _say(write_plugin("backbone", name, into, backbones()))


def _say(written: "Written") -> None:
    typer.echo(f"wrote {written.file} and {written.test}; next:\n")
    for command in written.next_commands():
        typer.echo(f"  {command}")
