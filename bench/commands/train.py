"""``fvbench train``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Cache, Device, use_cache

HELP = """Train weights on the training classes of the rendered dataset.

`backbone` trains the backbone whose weights are shipped in results/weights/: about a quarter of
an hour on two cores. Writes OUT/motion.safetensors and its card OUT/motion.json.

\b
exit status
  0  done
  2  nothing written: bad input, or the loss is no longer finite
"""
EPILOG = "Example: fvbench train backbone --steps 50 --out results/local/weights"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", help=HELP, epilog=EPILOG)(train)


def train(
    what: Annotated[str, typer.Argument(help="What to train: backbone.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights.")] = Path(
        "results/local/weights"
    ),
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.", min=0)] = 0,
    steps: Annotated[int, typer.Option(help="Optimiser steps, 32 clips each.", min=2)] = 2400,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Train weights."""
    use_cache(cache)
    from bench.backbones import backbones
    from bench.device import choose_device
    from bench.progress import Reporter
    from bench.training.backbone import BackboneRecipe, train_backbone
    from episodes.errors import UserError

    if what != "backbone":
        raise UserError(f"cannot train {what!r}; what can be trained is: backbone")
    recipe = BackboneRecipe(seed=seed, steps=steps)
    path = train_backbone(backbones()["motion"], recipe, choose_device(device), out, Reporter())
    typer.echo(f"wrote {path} and {path.with_suffix('.json').name}")
