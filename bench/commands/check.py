"""``fvbench check-method`` and ``fvbench check-backbone``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Json, Plugin, print_result
from episodes.errors import UserError

if TYPE_CHECKING:
    from bench.conformance import Report
    from bench.conformance.backbones import BackboneReport
    from bench.method import ConfiguredMethod


def check_method(
    methods: Annotated[
        list[str] | None, typer.Argument(metavar="NAME_OR_FILE", help="What to check.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check all methods there are.")] = False,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Check the rules that every method keeps, without videos.

    Takes names of methods, files and folders; each method takes about a second. The rules: the
    order of classes, shots, queries and episodes carries no meaning; each query is scored
    independently; nothing is kept between episodes; scores are finite whatever the features; every
    parameter gets a gradient; the state of the process stays as it was; and what the method
    declares is true. Prints a line for each method that keeps all rules, and one for each way in
    which a rule is broken. Fractions in the line are of predictions on synthetic episodes, before
    training.

    exit status
      0  all methods keep all rules
      1  a rule is broken
      2  something was not checked, and the rest is in order: an unknown name, a file that cannot be
         imported

    Example: fvbench check-method protonet methods/otam.py
    """
    import torch

    from bench.conformance import Breach, examine
    from bench.conformance.examination import select
    from bench.machine.surroundings import Surroundings, own_output
    from bench.plugins.registry import all_methods

    torch.set_num_threads(1)  # the episodes are too small to share
    with own_output():
        found, errors = select(methods or [], every, all_methods())
    for error in errors:
        typer.echo(f"error: {error}", err=True)

    def examined(method: "ConfiguredMethod") -> "Report":
        before = Surroundings()
        with own_output():
            report = examine(method)
        if not (changed := before.put_back()):
            return report
        words = f"it changes {', '.join(changed[:3])} for the whole process"
        breaches = [*report.breaches, Breach("surroundings", words)]
        return replace(report, breaches=breaches, figures=None)

    _print(map(examined, found), errors, json)


def check_backbone(
    wanted: Annotated[list[str], typer.Argument(metavar="NAME_OR_FILE", help="What to check.")],
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Check the rules that every backbone keeps, without videos.

    Takes names, NAME=WHERE with the location of weights as for --backbone, and plugin files, all of
    whose backbones are checked. The rules: maps have the declared shape; a change in a corner, or
    at one end of a clip, changes the maps there; a clip's maps do not depend on its batch; nothing
    is learned, kept or random; and the pretraining data of the weights are stated.

    exit status
      0  all backbones keep all rules
      1  a rule is broken
      2  something was not checked: an unknown name, a file that cannot be imported, missing weights

    Example: fvbench check-backbone motion
    """
    import torch

    from bench.conformance.backbones import examine_backbone
    from bench.features.backbones import backbones_in, load_backbone
    from bench.machine.surroundings import own_output

    errors = []

    def reports() -> "Iterator[BackboneReport]":
        for one in wanted:
            is_file = one.endswith(".py") and "=" not in one
            try:
                with own_output():
                    names = backbones_in(Path(one)) if is_file else [one]
                    cpu = torch.device("cpu")
                    loaded = [load_backbone(name, cpu, stated=False).backbone for name in names]
            except UserError as error:
                typer.echo(f"error: {error}", err=True)
                errors.append(error)
                continue
            for name, backbone in zip(names, loaded, strict=True):
                with own_output():
                    report = examine_backbone(name, backbone)
                yield report

    _print(reports(), errors, json)


def _print(
    reports: "Iterable[Report | BackboneReport]", errors: Sequence[object], json: bool
) -> None:
    """Print reports, lines as they come or JSON at the end, and set the exit status."""
    finished = []
    for report in reports:
        finished.append(report)
        if not json:
            typer.echo("\n".join(report.lines()))
    if json:
        print_result([report.record() for report in finished])
    if any(report.breaches for report in finished):
        raise typer.Exit(1)
    if errors:
        raise typer.Exit(2)
