"""``fvbench check-backbone``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Json, Plugin, use_plugins

HELP = """Check the rules that every backbone keeps, without videos.

Takes names, NAME=WHERE with the location of weights as for --backbone, and plugin files, all of
whose backbones are checked. The rules: maps have the declared shape; a change in a corner, or at
one end of a clip, changes the maps there; a clip's maps do not depend on its batch; nothing is
learned, kept or random; and the pretraining data of the weights are stated.

\b
exit status
  0  all backbones keep all rules
  1  a rule is broken
  2  something was not checked: an unknown name, a file that cannot be imported, missing weights
"""
EPILOG = "\b\nExample: fvbench check-backbone motion"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-backbone", help=HELP, epilog=EPILOG)(check_backbone)


def check_backbone(
    wanted: Annotated[
        list[str], typer.Argument(metavar="NAME_OR_FILE", help="What to check.", show_default=False)
    ],
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Check backbones."""
    from json import dumps

    import torch

    from bench.conformance.backbones import examine_backbone
    from bench.features.backbones import backbones_in, load_backbone
    from bench.machine.surroundings import own_output
    from episodes.errors import UserError

    use_plugins(plugin)
    reports, errors = [], 0
    for one in wanted:
        try:
            with own_output():
                names = backbones_in(Path(one)) if one.endswith(".py") and "=" not in one else [one]
                loaded = [load_backbone(name, torch.device("cpu")).backbone for name in names]
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            errors += 1
            continue
        for name, backbone in zip(names, loaded, strict=True):
            reports.append(examine_backbone(name, backbone))
            if not json:
                typer.echo("\n".join(reports[-1].lines()))
    if json:
        typer.echo(dumps([report.record() for report in reports], indent=2))
    if any(report.breaches for report in reports):
        raise typer.Exit(1)
    if errors:
        raise typer.Exit(2)
