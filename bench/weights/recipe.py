"""What a training recipe says: cards of weights hold all of it."""

import math
from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from episodes.banks.recipe import Protocol
from episodes.schema import Model

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
BatchNorm = Literal["live", "frozen"]
Precision = Literal["float32", "bfloat16"]


class TrainingRecipe(Model):
    """How a method is trained; the same for all methods unless a recipe says otherwise.

    Way and shot are not here: they are those of the validation bank.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    name: str
    """Name of the recipe's file without its suffix; the file itself does not state it."""
    optimiser: Optimiser
    """PyTorch's optimiser: Adam, AdamW or SGD."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of everything but the backbone."""
    backbone_learning_rate: float = Field(ge=0)
    """Peak learning rate of the backbone while it is fine-tuned."""
    steps: int = Field(ge=1)
    """Number of optimiser steps."""
    episodes_per_step: int = Field(ge=1)
    """Number of episodes whose gradients one step averages."""
    episodes_at_once: int = Field(ge=1)
    """Episodes in one forward pass, whose clips share the statistics of a live batch norm; the
    gradients of a step's passes add up."""
    queries: int = Field(ge=1)
    """Queries of each class that is queried."""
    protocol: Protocol
    """The rule by which queries are drawn."""
    validate_every: int = Field(ge=1)
    """Number of steps between two validations."""
    validation_episodes: int = Field(ge=1)
    """Number of episodes of the validation bank that are used, from the first."""
    schedule: Schedule = "constant"
    """Schedule of the learning rates after the warm-up."""
    rate_from_step: tuple[tuple[int, float], ...] = ()
    """Pairs of a step, counted from 0 and ascending, and the factor of the learning rates from that
    step on; the factor is 1 before the first."""
    warm_up_steps: int = Field(default=0, ge=0)
    """Number of steps over which the learning rates rise."""
    warm_up_from: float = Field(default=0.0, ge=0)
    """Fraction of the peak learning rates at which the warm-up begins."""
    momentum: float = Field(default=0.0, ge=0)
    """Momentum of SGD."""
    nesterov: bool = False
    """Whether the momentum is Nesterov's."""
    weight_decay: float = Field(default=0.0, ge=0)
    """The optimiser's weight decay."""
    without_weight_decay: tuple[str, ...] = ()
    """Parameters without weight decay: patterns (as in `fnmatch`) of their names, which begin with
    ``method.``, ``backbone.`` or ``head.``, or of their layers' types, such as ``LayerNorm``."""
    clip_norm: float = Field(default=0.0, ge=0)
    """Norm to which gradients are clipped; 0 for no limit."""
    episode_weight: float = Field(default=1.0, ge=0)
    """Weight of the method's own loss terms."""
    sum_over_queries: bool = False
    """Whether the method's loss is the sum over an episode's queries, as in some authors' code,
    instead of their mean."""
    global_weight: float = Field(default=0.0, ge=0)
    """Weight of the loss of a linear classifier of all training classes on the mean feature of
    every video, for methods that have no such head of their own."""
    batch_norm: BatchNorm = "live"
    """Statistics of the backbone's batch norm while it is fine-tuned: those of the batch (live), or
    the stored ones (frozen)."""
    separate_passes: bool = False
    """Whether support videos and queries pass through the fine-tuned backbone separately, so that a
    live batch norm has separate statistics for them."""
    precision: Precision = "float32"
    """Precision of the backbone while it is fine-tuned; methods always train in float32."""
    shift: int = Field(default=0, ge=0)
    """Largest random translation of a clip, in pixels, while the backbone is fine-tuned; border
    pixels are repeated where the clip has moved away."""
    random_crop: bool = False
    """Whether clips are cut from a random place of the resized picture instead of its centre, while
    the backbone is fine-tuned. It matters only where pictures are resized to more than the
    backbone's input size."""
    recolour: bool = False
    """Whether colour channels are permuted, contrast is scaled and half of the clips inverted."""
    flip: bool = False
    """Whether half of the clips, drawn at random, are mirrored, where no two classes are mirror
    images."""
    jitter: int = Field(default=0, ge=0)
    """Largest number of frames by which a clip begins later and ends earlier, at random, while the
    backbone is fine-tuned."""

    @field_validator("episodes_at_once")
    @classmethod
    def _divide_a_step(cls, at_once: int, before: ValidationInfo) -> int:
        if (in_all := before.data.get("episodes_per_step", 0)) % at_once:
            raise ValueError(f"it should divide episodes_per_step, which is {in_all}")
        return at_once

    @field_validator("rate_from_step")
    @classmethod
    def _ascend(cls, pairs: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
        steps = [step for step, _ in pairs]
        if steps != sorted(set(steps)):
            raise ValueError("its steps should ascend, as in [[2250, 0.1], [3750, 0.01]]")
        if any(step < 0 or factor < 0 for step, factor in pairs):
            raise ValueError("its steps and factors should be greater than or equal to 0")
        return pairs

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, nesterov: bool, before: ValidationInfo) -> bool:
        if nesterov and not before.data.get("momentum"):
            raise ValueError("it should be false, or momentum greater than 0")
        return nesterov

    @property
    def episodes(self) -> int:
        """Training episodes in total."""
        return self.steps * self.episodes_per_step

    def learning_rate_at(self, step: int) -> float:
        """Factor of both learning rates at a step (counted from 0): warm-up, then the schedule."""
        if step < self.warm_up_steps:
            done = (step + 1) / (self.warm_up_steps + 1)
            return self.warm_up_from + (1 - self.warm_up_from) * done
        begun = [factor for first, factor in self.rate_from_step if step >= first]
        factor = begun[-1] if begun else 1.0
        if self.schedule == "constant":
            return factor
        left = max(1, self.steps - self.warm_up_steps)
        return factor * 0.5 * (1 + math.cos(math.pi * (step - self.warm_up_steps) / left))
