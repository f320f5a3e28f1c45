"""Cards, which say what trained weights are and how they were trained; the shipped files.

`results/weights/SHA256SUMS` lists the shipped files, as ``sha256sum`` writes and checks it. When
weights are replaced:

    cd results/weights
    find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Self

from bench.runs.directory import RESULTS_FOLDER
from bench.runs.schema import Circumstances, HowTrained, Input, TextIdentity
from bench.settings import Form
from bench.weights.recipe import TrainingRecipe
from episodes.errors import UserError
from episodes.schema import SEAL, Model, check_seal, parsed, read_json
from episodes.split import Split

WEIGHTS_FOLDER = RESULTS_FOLDER / "weights"
"""Shipped weights, each with a card."""
SUMS = WEIGHTS_FOLDER / "SHA256SUMS"
RESTORE = "restore the file from the release, or with `git checkout results/weights`"


@cache
def committed() -> dict[Path, str]:
    """Return the sha256 of every shipped file.

    Raises:
        UserError: the list is missing or damaged.
    """
    try:
        lines = [line.split("  ", 1) for line in SUMS.read_text(encoding="utf-8").splitlines()]
        return {(WEIGHTS_FOLDER / name).resolve(): sha256 for sha256, name in lines}
    except (OSError, ValueError) as error:
        raise UserError(f"{SUMS} cannot be read: {error}; {RESTORE}") from error


def check_shipped(path: Path) -> None:
    """Refuse a shipped file that is not the committed one; other files are not checked.

    Raises:
        UserError: it is missing or changed.
    """
    if problem := _problem(path):
        raise UserError(problem)


def problems() -> list[str]:
    """Describe what is wrong with the shipped files, one line for each damaged file."""
    return [problem for path in committed() if (problem := _problem(path))]


def _problem(path: Path) -> str:
    path = path.resolve()
    if not path.is_relative_to(WEIGHTS_FOLDER.resolve()) or path not in committed():
        return ""
    if not path.is_file():
        return f"{path}, which comes with the program, is missing; {RESTORE}"
    if file_sha256(path) != committed()[path]:
        return f"{path} is not the file that comes with the program: its sha256 differs; {RESTORE}"
    return ""


CARD = "card.json"
WEIGHTS = "weights.safetensors"


class Start(Model):
    """The backbone that a training started from."""

    name: str
    """Name of the backbone."""
    weights_sha256: str
    """Hash of its weights."""
    source_sha256: str | None = None
    """Hash of its code (`bench.plugins.source`)."""
    input: Input | None = None
    """Its input; older cards do not state it."""
    sampling: str | None = None
    """Rule by which frames are sampled; older cards do not state it."""
    features_sha256: str | None = None
    """Hash of the features, if they were computed elsewhere."""


class Validation(Model):
    """The bank on which the checkpoint was chosen."""

    bank: str
    """Name of the bank."""
    bank_sha256: str
    """Hash of its episodes."""
    episodes: int
    """Number of its episodes."""


SAME_IN_ALL_SEEDS = ("recipe", "dataset", "way", "shot", "validation", "text", "videos_sha256")
"""Fields of a training's identity in which its seeds agree, and which no run states whole."""


class TrainingIdentity(Model):
    """Everything that determines the resulting weights."""

    method: str
    """Name of the method."""
    revision: int
    """Revision of the method."""
    settings: dict[str, Any]
    """Settings of the method, which declares their types."""
    form: Form | None = None
    """Whether the paper's or the faster form was trained; older cards do not state it."""
    source_sha256: str
    """Hash of the method's code (`bench.plugins.source`)."""
    training: HowTrained
    """Summary that a run repeats."""
    recipe: TrainingRecipe
    """The recipe, with every field that existed then."""
    backbone: Start
    """The backbone that the training started from."""
    dataset: str
    """Name of the data set."""
    way: int
    """Classes in an episode."""
    shot: int
    """Support videos per class."""
    validation: Validation
    """The bank on which the checkpoint was chosen."""
    device: str
    """Type of device."""
    text: TextIdentity | None = None
    """Source of the text features of a method that reads class names, those of the training and
    of the validation classes; older cards have the names of training classes alone."""
    videos_sha256: str | None = None
    """Hash of the names and contents of the training and validation videos of a user's own data
    set, whose lists no name stands for; older cards have none."""

    def sha256_of(self, *names: str) -> str:
        """Hash of some fields.

        Values that are defaults are left out, so that fields that a later version adds change no
        hash.
        """
        content = self.model_dump(mode="json", include={*names}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Chosen(Model):
    """The checkpoint that was kept."""

    step: int
    """Step after which it was saved."""
    of: int
    """Number of steps in all."""
    validation_accuracy: float
    """Accuracy on the validation bank, a fraction."""
    at_the_start: float | None
    """The same accuracy before the first step."""
    bank: str
    """Name of the validation bank."""
    episodes: int
    """Number of its episodes."""


class TrainedOn(Model):
    """The videos that training has seen."""

    dataset: str
    """Name of the data set."""
    split: str
    """Name of the split."""
    split_sha256: str
    """Hash of its canonical list."""
    classes: int
    """Number of classes."""
    videos: int
    """Number of videos."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """Describe a split whose videos were all seen."""
        return cls(
            dataset=split.dataset,
            split=split.name,
            split_sha256=split.sha256,
            classes=len(split.classes),
            videos=len(split.videos),
        )


class Card(Model):
    """``card.json``: the card beside weights that `fvbench train` made."""

    method: str
    """Name of the method."""
    settings: dict[str, Any]
    """Settings with which it was trained."""
    training: HowTrained
    """Summary that a run with these weights repeats."""
    backbone: Start
    """The backbone that the training started from."""
    sha256: str
    """Hash of the weights file."""
    bytes: int
    """Size of the weights file."""
    chosen: Chosen
    """The checkpoint that was kept."""
    trained_on: TrainedOn
    """The videos that training has seen."""
    licence: str | None = None
    """Licence of the weights, where they are shipped."""
    identity: TrainingIdentity
    """Everything that determined the weights."""
    made_by: Circumstances
    """Where and how they were trained."""
    content_sha256: str | None = None
    """Hash of all other fields; older cards have none."""

    @property
    def tuned(self) -> bool:
        """Whether the weights hold a backbone of their own."""
        return self.training.backbone == "tuned"


def read_card(weights: Path) -> Card | None:
    """Read the card beside a file of weights; None if there is none.

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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
