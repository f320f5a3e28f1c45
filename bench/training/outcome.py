"""The results of a finished training: weights, their card, and the training curve."""

from pathlib import Path

import pandas as pd

from bench.runs.circumstances import circumstances
from bench.training.plan import Training
from bench.training.state import State, check_figures, check_same, clear_state
from bench.weights.cards import (
    CARD,
    WEIGHTS,
    Card,
    Chosen,
    TrainedOn,
    TrainingIdentity,
    file_sha256,
    read_card,
)
from episodes.atomic import replacing, write_text
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.schema import parsed, read_json, sealed

CURVE = "train.csv"
"""A row for each step, with loss terms and validation accuracy as columns."""


def finished(folder: Path, identity: TrainingIdentity) -> bool:
    """Whether this training has already been completed.

    Raises:
        UserError: the folder holds another training, whose weights would be lost.
    """
    card = folder / CARD
    if not card.exists():
        return False
    try:
        found = parsed(Card, read_json(card)).identity
    except (OSError, ValueError) as error:
        raise UserError(f"{card} is not a card of a training: {error}; delete {folder}") from error
    check_same(folder, found, identity)
    if not (folder / WEIGHTS).exists():
        return False
    read_card(folder / WEIGHTS)
    return True


def finish(training: Training, identity: TrainingIdentity, state: State) -> None:
    """Keep the best weights, write card and curve, and remove the rest.

    A kill in between loses nothing: the state is removed last, and the same command finishes.

    Raises:
        UserError: the best weights, or their figures, are not those that the state records.
    """
    folder = training.folder
    best = folder / state.best.file
    try:
        check_figures(state)
        if file_sha256(best) != state.best.sha256:
            raise ValueError(f"{best.name} is not the one that was written")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is damaged: {error}; delete it and train again") from error
    with replacing(folder / WEIGHTS) as unfinished:
        unfinished.write_bytes(best.read_bytes())
    curve = pd.DataFrame(state.curve)
    curve["validation_accuracy"] = curve.pop("validation_accuracy")  # becomes the last column
    with replacing(folder / CURVE) as unfinished:
        curve.to_csv(unfinished, index=False, float_format="%.6g")
    write_text(folder / CARD, sealed(_card(training, identity, state).content()))
    clear_state(folder)


def _card(training: Training, identity: TrainingIdentity, state: State) -> Card:
    path = training.folder / WEIGHTS
    return Card(
        method=training.method.name,
        settings=identity.settings,
        training=training.summary,
        backbone=identity.backbone,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        chosen=Chosen(
            step=state.best.step,
            of=training.recipe.steps,
            validation_accuracy=state.best.accuracy,
            at_the_start=state.curve[0]["validation_accuracy"],
            bank=training.validation.recipe.name,
            episodes=len(training.validation.episodes),
        ),
        trained_on=TrainedOn.of(dataset(identity.dataset).split("train")),
        identity=identity,
        made_by=circumstances(training.device),
    )
