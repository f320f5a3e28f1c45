"""The card beside the weights of a backbone: what they are, and how they were trained."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from bench.runs.schema import Circumstances
from bench.weights.cards import TrainedOn
from episodes.schema import Model


class BackboneRecipe(Model):
    """How a backbone is trained.

    The loss is computed on the mean of the whole feature map, since methods compare maps: a head
    that sees the order of the frames learns faster, but its maps compare badly.
    """

    seed: int = 0
    """Seed of the weights, the batches and the augmentation."""
    steps: int = 2400
    """Optimiser steps (AdamW)."""
    batch_size: int = 32
    """Clips per step."""
    peak_learning_rate: float = 3e-3
    """Peak learning rate of the one-cycle schedule."""
    warm_up_steps: int = 100
    """Steps of warm-up, up to the peak."""
    weight_decay: float = 0.02
    """Weight decay."""
    dropout: float = 0.1
    """Dropout: fraction of the channels that are zeroed."""
    label_smoothing: float = 0.05
    """Label smoothing: fraction of the label that is spread over all classes."""
    shift: int = 3
    """Largest shift of a clip, in pixels."""


class WordsRecipe(Model):
    """How the text tower is trained; the vision tower stays as it is."""

    seed: int = 0
    """Seed of the weights and the batches."""
    steps: int = 300
    """Optimiser steps (AdamW)."""
    batch_size: int = 256
    """Videos per step."""
    learning_rate: float = 3e-3
    """Learning rate of the first step; it falls to 0 along a cosine."""
    weight_decay: float = 0.5
    """Weight decay."""
    scale: float = 20.0
    """Scale of the cosine similarity between mean frame and name in the loss."""


def _kind(recipe: Any) -> str:
    """Tell the two recipes apart by the name that each has for its learning rate."""
    names = recipe if isinstance(recipe, dict) else getattr(type(recipe), "model_fields", ())
    return "words" if "learning_rate" in names else "backbone"


class Vision(Model):
    """The backbone whose vision tower a text tower was trained for."""

    backbone: str
    """Name of the backbone."""
    sha256: str
    """Hash of its weights."""


class BackboneCard(Model):
    """``NAME.json``: the card of a backbone that `fvbench train-backbone` made."""

    file: str
    """Name of the weights file."""
    sha256: str
    """Hash of the weights file."""
    bytes: int
    """Size of the weights file."""
    backbone: str
    """Name of the backbone."""
    revision: int
    """Revision of the backbone."""
    vision: Vision | None = None
    """Origin of the vision tower, where that was not trained."""
    parameters: int
    """Number of parameters."""
    trained_on: TrainedOn
    """The videos that training has seen."""
    recipe: Annotated[
        Annotated[BackboneRecipe, Tag("backbone")] | Annotated[WordsRecipe, Tag("words")],
        Discriminator(_kind),
    ]
    """How it was trained."""
    training_accuracy: float
    """Accuracy on the training classes, a fraction."""
    validation_accuracy: float | None = None
    """Accuracy on the validation classes, a fraction."""
    licence: str
    """Licence of the weights."""
    device: str
    """Name of the device that trained it."""
    made_by: Circumstances
    """Where and how it was trained."""
