"""``fvbench train-backbone``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.commands.options import Cache, Device

Shipped = Literal["motion", "words"]


def train_backbone(
    which: Annotated[
        Shipped, typer.Argument(help="motion, or words: the text tower of motion-words.")
    ] = "motion",
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.")] = Path(
        "results/local/backbone"
    ),
    seed: Annotated[int, typer.Option(help="Training seed.", min=0, max=2**63 - 1)] = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Optimiser steps; default: 2400 for motion (32 clips each), 300 for words (256"
            " videos each).",
            min=3,
        ),
    ] = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Train a backbone whose weights are shipped.

    `motion` learns plain classification of the training classes of the rendered videos, a quarter
    of an hour on two cores; `words` adds to it a text tower, which learns to read their names.
    Writes the weights, OUT/motion.safetensors or OUT/motion-words.safetensors, and their card,
    which ends in .json. Other commands take them as --backbone motion=OUT/motion.safetensors.

    exit status
      0  done
      2  not trained: bad input, a loss that is not finite, too little memory

    Example: fvbench train-backbone --out results/local/backbone
             fvbench run --backbone motion=results/local/backbone/motion.safetensors
    """
    from bench.machine.device import choose_device
    from bench.machine.locking import locked
    from bench.machine.progress import Reporter
    from bench.training import backbone
    from bench.weights.backbone_card import BackboneRecipe, WordsRecipe

    chosen = {"seed": seed} | ({} if steps is None else {"steps": steps})
    where = choose_device(device)
    with locked(out):
        if which == "words":
            path = backbone.train_words(WordsRecipe(**chosen), where, out, Reporter())
        else:
            path = backbone.train_motion(BackboneRecipe(**chosen), where, out, Reporter())
    typer.echo(f"wrote {path} and {path.with_suffix('.json').name}")
