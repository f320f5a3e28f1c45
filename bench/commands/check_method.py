"""``fvbench check-method``."""

from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Json, Plugin, use_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.conformance import Report

HELP = """Check the rules that every method keeps, without videos.

Takes names of methods, files and folders; each method takes about a second. The rules: the order
of classes, shots, queries and episodes carries no meaning; each query is scored independently;
nothing is kept between episodes; scores are finite whatever the features; every parameter gets a
gradient; and what the method declares is true. Prints a line for each method that keeps all rules,
and one for each way in which a rule is broken. Fractions in the line are of predictions on
synthetic episodes, before training.

\b
exit status
  0  all methods keep all rules
  1  a rule is broken
  2  something was not checked, and the rest is in order: an unknown name, a file that cannot be
     imported
"""
EPILOG = "\b\nExample: fvbench check-method protonet methods/otam.py"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-method", help=HELP, epilog=EPILOG)(check_method)


def check_method(
    methods: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME_OR_FILE", help="What to check.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check all methods there are.")] = False,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Check methods."""
    use_plugins(plugin)
    import torch

    from bench.conformance import examine
    from bench.conformance.examination import select
    from bench.machine.surroundings import own_output
    from bench.plugins.registry import all_methods

    torch.set_num_threads(1)  # the episodes are too small to share
    with own_output():
        selection = select(methods or [], every, all_methods())
    for error in selection.errors:
        typer.echo(f"error: {error}", err=True)
    reports = _shown(map(examine, selection.entries), json)
    if any(report.breaches for report in reports):
        raise typer.Exit(1)
    if selection.errors:
        raise typer.Exit(2)


def _shown(reports: "Iterable[Report]", json: bool) -> "list[Report]":
    """Print reports: lines as they come, JSON at the end."""
    from json import dumps

    finished = []
    for report in reports:
        finished.append(report)
        if not json:
            typer.echo("\n".join(report.lines()))
    if json:
        typer.echo(dumps([report.record() for report in finished], indent=2))
    return finished
