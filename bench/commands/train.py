"""``fvbench train``."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.config import refuse_options_of_videos
from bench.commands.options import (
    Backbone,
    Cache,
    Decoder,
    Device,
    Features,
    Plain,
    Plugin,
    Prompt,
    Resize,
    Sampling,
    Text,
)
from episodes.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.machine.progress import Reporter
    from bench.training.plan import Training


def train(
    context: typer.Context,
    methods: Annotated[list[str], typer.Argument(help="Methods to train.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights.")] = Path(
        "results/local/trained"
    ),
    seeds: Annotated[str, typer.Option(help="Training seeds, separated by commas.")] = "0",
    recipe: Annotated[
        str,
        typer.Option(
            help="default, default-live (live batch norm in the backbone), default-bfloat16,"
            " default-equal-scale (logits of equal range in MASTAF's family), paper (what a"
            " method's authors state), or a file of your own."
        ),
    ] = "default",
    validation: Annotated[
        str, typer.Option(help="Bank over validation classes; it determines dataset, way and shot.")
    ] = "rendered-5w1s-val",
    backbone: Backbone = "motion",
    sampling: Sampling = None,
    resize: Resize = None,
    decoder: Decoder = None,
    features: Features = None,
    text: Text = None,
    prompt: Prompt = None,
    freeze_backbone: Annotated[
        bool, typer.Option("--freeze-backbone", help="Train only the methods' own weights.")
    ] = False,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="Training episodes, in place of the recipe's; rounded up to whole steps.", min=1
        ),
    ] = None,
    global_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of a global classification loss over the training classes, for methods"
            " without one of their own; in place of the recipe's.",
            min=0,
        ),
    ] = None,
    device: Device = "auto",
    plugin: Plugin = None,
    plain: Plain = False,
    cache: Cache = None,
) -> None:
    """Train methods on episodes of the training classes.

    The best checkpoint is selected on the validation bank, which also determines dataset, way and
    shot; test classes are never touched. Backbone and method are trained together, or the method
    alone with --freeze-backbone. Writes OUT/METHOD/seed-S/ with weights.safetensors, card.json and
    train.csv; `fvbench run --weights OUT` evaluates them. Give the same command again to resume an
    interrupted training; it reaches the same weights.

    exit status
      0  done
      2  not trained: bad input, missing data, a loss that is not finite, too little memory

    Example: fvbench train mastaf --seeds 0 --episodes 200 --out results/local/trained
             fvbench run --methods mastaf --weights results/local/trained --out results/local/after
    """
    from bench.features.backbones import backbone_or_features
    from bench.features.given import check_trainable
    from bench.features.text import check_read, text_source
    from bench.machine import distributed
    from bench.machine.device import choose_device
    from bench.plugins.registry import all_methods, choose
    from bench.running.containment import contained
    from bench.training.clips import ClipLibrary
    from bench.training.meta import train as train_one
    from bench.training.outcome import finished
    from bench.training.plan import Training
    from bench.training.recipe import check_effects, read_training_recipe, with_settings
    from episodes.banks.bank import open_bank

    context.with_resource(distributed.joined(out))
    where, numbers = choose_device(device), whole_numbers(seeds)
    if earlier := {"backbone", "words"} & set(methods) - all_methods().keys():
        raise UserError(
            f"{earlier.pop()} is no method: the shipped backbones are trained by `fvbench"
            " train-backbone` and `fvbench train-backbone words`"
        )
    chosen = choose(",".join(methods), all_methods(), plain)
    loaded, given = backbone_or_features(backbone, features, where, sampling, resize, decoder)
    if given is not None:
        refuse_options_of_videos(context)
        check_trainable(given, freeze_backbone)
    check_effects(recipe, chosen, all_methods(), global_weight)
    check_read(chosen, text, prompt)
    names = text_source(loaded, text, prompt)
    tuned, trainings = not freeze_backbone, []
    for method in chosen:
        own = read_training_recipe(recipe, method, episodes, global_weight)
        bank = open_bank(validation, own.validation_episodes)
        configured = with_settings(recipe, method)
        with contained(method.name, numbers[0]):  # its code says whether there is anything to train
            trainings += [
                Training(configured, seed, own, bank, loaded, tuned, where, out, names, given)
                for seed in numbers
            ]
    done = {one.folder for one in trainings if finished(one.folder, one.identity())}
    reporter = _foreseen([one for one in trainings if one.folder not in done], out)
    with closing(ClipLibrary(where)) as library:
        for training in trainings:
            with contained(training.method.name, training.seed):
                folder = train_one(training, library, reporter)
            if not distributed.is_first():
                continue
            typer.echo(f"{'finished before:' if folder in done else 'wrote'} {folder}")


def _foreseen(trainings: "Sequence[Training]", out: Path) -> "Reporter":
    """Announce what is trained and how long it will take; return the reporter of its progress."""
    from bench.commands.forecast import FEW, of_trainings
    from bench.machine import distributed
    from bench.machine.progress import Reporter

    if not trainings:
        return Reporter()
    announced = f"training {_in_words(trainings)}, into {out}"
    few = sum(training.recipe.episodes for training in trainings) < FEW
    if few or distributed.size() > 1:
        reporter = Reporter()
    else:
        forecast = of_trainings(trainings)
        announced += f": {forecast.time()}"
        reporter = Reporter(forecast.expected)
    reporter.say(announced)
    short = {
        f"{training.method.name} ({recipe.steps} of {recipe.warm_up_steps} steps)"
        for training in trainings
        if (recipe := training.recipe).steps <= recipe.warm_up_steps
    }
    if short:
        reporter.say(
            f"note: {', '.join(sorted(short))}: training ends within the warm-up, so that learning"
            " rates never reach their values; give more --episodes, or fewer warm_up_steps in a"
            " recipe"
        )
    return reporter


def _in_words(trainings: "Sequence[Training]") -> str:
    """The methods, seeds, recipe and data of trainings."""
    first = trainings[0]
    names = list(dict.fromkeys(training.method.name for training in trainings))
    seeds = list(dict.fromkeys(str(training.seed) for training in trainings))
    counts = sorted({training.recipe.episodes for training in trainings})
    episodes = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    backbone = f"the backbone {first.backbone.backbone.name}"
    what = f"{backbone} with the method" if first.tuned else f"the method alone, {backbone} frozen"
    bank = first.validation.recipe
    return (
        f"{', '.join(names)} from seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}: {what};"
        f" recipe {first.recipe.name}, {episodes} episodes of {bank.way} classes with {bank.shot} +"
        f" {first.recipe.queries} videos from the training classes of {bank.dataset}, chosen on"
        f" {len(first.validation.episodes):,} episodes of {bank.name}"
    )


def whole_numbers(text: str) -> list[int]:
    """Read numbers separated by commas.

    >>> whole_numbers("0,2")
    [0, 2]
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--seeds {text!r}: whole numbers, separated by commas") from error
    if not 0 <= min(numbers) <= max(numbers) < 2**63:
        raise UserError(f"--seeds {text!r}: a seed is a whole number from 0 to 2^63 - 1")
    return list(dict.fromkeys(numbers))
