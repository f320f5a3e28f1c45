"""Cards of trained weights: what they are and what they saw; hashes of those that are shipped.

`results/weights/SHA256SUMS` lists the shipped files, as ``sha256sum`` writes and checks it. When
weights are replaced:

    cd results/weights
    find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Self

from bench.method import Form
from bench.runs.directory import RESULTS_FOLDER
from bench.runs.recipe import TrainingRecipe
from bench.runs.schema import Circumstances, HowTrained, Input, TextIdentity
from episodes.errors import UserError
from episodes.schema import SEAL, Model, check_seal, parsed, read_json
from episodes.split import Split

WEIGHTS_FOLDER = RESULTS_FOLDER / "weights"
"""Shipped weights, each with a card."""


SUMS = WEIGHTS_FOLDER / "SHA256SUMS"
RESTORE = "restore the file from the release, or with `git checkout results/weights`"


@cache
def committed() -> dict[Path, str]:
    """Hashes of all shipped files.

    Raises:
        UserError: the list is missing or damaged.
    """
    try:
        lines = [line.split("  ", 1) for line in SUMS.read_text(encoding="utf-8").splitlines()]
        return {
            WEIGHTS_FOLDER.resolve() / name.removeprefix("./"): sha256 for sha256, name in lines
        }
    except (OSError, ValueError) as error:
        raise UserError(f"{SUMS} cannot be read: {error}; {RESTORE}") from error


def check_shipped(path: Path) -> None:
    """Refuse a shipped file that is not the one that was committed; others are not looked at.

    Raises:
        UserError: it is missing or changed.
    """
    if (problem := _problem(path)) is not None:
        raise UserError(problem)


def problems() -> list[str]:
    """What is wrong with shipped files, one line each."""
    return [problem for path in committed() if (problem := _problem(path)) is not None]


def _problem(path: Path) -> str | None:
    path = path.resolve()
    if not path.is_relative_to(WEIGHTS_FOLDER.resolve()) or path not in committed():
        return None
    if not path.is_file():
        return f"{path}, which comes with the program, is missing; {RESTORE}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != committed()[path]:
        return f"{path} is not the file that comes with the program: its sha256 differs; {RESTORE}"
    return None


CARD = "card.json"
WEIGHTS = "weights.safetensors"


class Start(Model):
    """The backbone that a training began with."""

    name: str
    """Of the backbone."""
    weights_sha256: str
    """Of its weights."""
    source_sha256: str | None = None
    """Of what its code means."""
    input: Input | None = None
    """What it is shown; older cards do not say."""
    sampling: str | None = None
    """Which frames of a video; older cards do not say."""
    features_sha256: str | None = None
    """Of the features, if they were computed elsewhere."""


class Validation(Model):
    """The bank by which the checkpoint was chosen."""

    bank: str
    """Its name."""
    bank_sha256: str
    """Hash of its episodes."""
    episodes: int
    """How many of them."""


class TrainingIdentity(Model):
    """Everything that determines the weights that come out of a training."""

    method: str
    """Name of the method."""
    revision: int
    """Of the method."""
    settings: dict[str, Any]
    """The method's own, by name; each method declares its kinds."""
    form: Form | None = None
    """Whether the paper's or the quicker form was trained; older cards do not say."""
    source_sha256: str
    """Of what the method's code means."""
    training: HowTrained
    """What a run says of it."""
    recipe: TrainingRecipe
    """Every field of it that there was."""
    backbone: Start
    """What the training began with."""
    dataset: str
    """Name of the data set."""
    way: int
    """Classes in an episode."""
    shot: int
    """Support videos of each class."""
    validation: Validation
    """By which the checkpoint was chosen."""
    device: str
    """Kind of device."""
    text: TextIdentity | None = None
    """What a method that reads names was given."""


class Chosen(Model):
    """The checkpoint that was kept."""

    step: int
    """After which it was saved."""
    of: int
    """Steps in all."""
    validation_accuracy: float
    """A fraction."""
    at_the_start: float | None
    """The same before any step."""
    bank: str
    """On which it was measured."""
    episodes: int
    """How many of them."""


class TrainedOn(Model):
    """The videos that training has seen."""

    dataset: str
    """Name of the data set."""
    split: str
    """Name of the split."""
    split_sha256: str
    """Of its canonical list."""
    classes: int
    """How many."""
    videos: int
    """How many."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """Name a split whose videos were all seen."""
        return cls(
            dataset=split.dataset,
            split=split.name,
            split_sha256=split.sha256,
            classes=len(split.classes),
            videos=len(split.videos),
        )


class Vision(Model):
    """The backbone whose vision tower a text tower was trained for."""

    backbone: str
    """Its name."""
    sha256: str
    """Of its weights."""


class BackboneCard(Model):
    """``NAME.json``: what lies beside the weights of a backbone that `fvbench train` made."""

    file: str
    """Name of the weights' file."""
    sha256: str
    """Of that file."""
    bytes: int
    """Size of that file."""
    backbone: str
    """Name of the backbone."""
    revision: int
    """Of the backbone."""
    vision: Vision | None = None
    """Whose vision tower it has, where that was not trained."""
    parameters: int
    """How many."""
    trained_on: TrainedOn
    """The videos that training has seen."""
    recipe: dict[str, int | float]
    """Every number of its training (`BackboneRecipe`, `WordsRecipe` in `bench.training`)."""
    training_accuracy: float
    """A fraction."""
    validation_accuracy: float | None = None
    """A fraction."""
    licence: str
    """Of the weights."""
    device: str
    """What computed, in words."""
    made_by: Circumstances
    """What it was made on."""


class Card(Model):
    """``card.json``: what lies beside weights that `fvbench train` made."""

    method: str
    """Name of the method."""
    settings: dict[str, Any]
    """Those that it was trained with."""
    training: HowTrained
    """What a run that uses the weights says of them."""
    backbone: Start
    """What the training began with."""
    sha256: str
    """Of the weights' file."""
    bytes: int
    """Size of the weights' file."""
    chosen: Chosen
    """The checkpoint that was kept."""
    trained_on: TrainedOn
    """The videos that training has seen."""
    licence: str | None = None
    """Of the weights, where they come with the program."""
    identity: TrainingIdentity
    """Everything that determined the weights."""
    made_by: Circumstances
    """What it was made on."""
    content_sha256: str | None = None
    """Of all other fields; older cards have none."""

    @property
    def tuned(self) -> bool:
        """Whether the weights hold a backbone of their own."""
        return self.training.backbone == "tuned"


def read_card(weights: Path) -> Card | None:
    """Read the card that lies beside a file of weights; None if there is none.

    Raises:
        UserError: the card is damaged, or belongs to other weights.
    """
    path = weights.parent / CARD
    check_shipped(weights)
    check_shipped(path)
    if weights.name != WEIGHTS or not path.is_file():
        return None
    try:
        content = read_json(path)
        if SEAL in content:  # older cards have none
            check_seal(content)
        card = parsed(Card, content)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a card of weights: {error}; restore it, or train again"
        ) from error
    if card.sha256 != file_sha256(weights):
        raise UserError(
            f"{weights} is not the file that {CARD} beside it describes: their sha256 differ;"
            " restore both, or train again"
        )
    return card


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
