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
    """The file's name without suffix; it does not stand in the file."""
    optimiser: Optimiser
    """Of PyTorch, by its usual name."""
    learning_rate: float = Field(gt=0)
    """Of everything but the backbone; the highest that the schedule reaches."""
    backbone_learning_rate: float = Field(ge=0)
    """Of the backbone, while it is tuned."""
    steps: int = Field(ge=1)
    """Of the optimiser."""
    episodes_per_step: int = Field(ge=1)
    """Over which a step's gradient is taken."""
    episodes_at_once: int = Field(ge=1)
    """Episodes in one forward pass, whose clips share the statistics of a live batch norm; the
    gradients of a step's passes add up."""
    queries: int = Field(ge=1)
    """Of each class that is queried."""
    protocol: Protocol
    """How queries are drawn."""
    validate_every: int = Field(ge=1)
    """Steps."""
    validation_episodes: int = Field(ge=1)
    """Of the validation bank, from the first."""
    schedule: Schedule = "constant"
    """How the learning rates go on after the warm-up."""
    rate_from_step: tuple[tuple[int, float], ...] = ()
    """Steps, counted from 0 and ascending, each with the factor of the learning rates from there
    on; 1 before the first."""
    warm_up_steps: int = Field(default=0, ge=0)
    """Steps in which the learning rates rise."""
    warm_up_from: float = Field(default=0.0, ge=0)
    """Share of the learning rates at which the warm-up begins."""
    momentum: float = Field(default=0.0, ge=0)
    """Of SGD."""
    nesterov: bool = False
    """Whether that is Nesterov's."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Factor of the weights in each step."""
    without_weight_decay: tuple[str, ...] = ()
    """Parameters that weight decay spares: patterns (as in `fnmatch`) of their names, which begin
    with ``method.``, ``backbone.`` or ``head.``, or of their layers' kinds: ``LayerNorm``."""
    clip_norm: float = Field(default=0.0, ge=0)
    """Largest norm of the gradient; 0 for no limit."""
    episode_weight: float = 1.0
    """Factor of the method's own loss terms."""
    sum_over_queries: bool = False
    """Whether the method's loss is the sum over an episode's queries, as some authors have it, and
    not their mean."""
    global_weight: float = 0.0
    """Factor of a linear classifier among all training classes on the mean feature of every
    video, for methods that have no such head of their own."""
    batch_norm: BatchNorm = "live"
    """Statistics in the backbone while it is tuned: of the batch, or those it came with."""
    separate_passes: bool = False
    """Whether the backbone, while it is tuned, sees support videos and queries in passes of their
    own, so that a live batch norm takes the statistics of either."""
    precision: Precision = "float32"
    """Of the backbone while it is tuned; methods always train in float32."""
    shift: int = Field(default=0, ge=0)
    """Pixels by which a clip is moved at most, while the backbone is tuned; its border is repeated
    where there is nothing to see."""
    random_crop: bool = False
    """Cut clips out of anywhere in the resized picture, not out of its centre, while the backbone
    is tuned. There is room only where pictures are resized to more than the backbone sees."""
    recolour: bool = False
    """Permute colours, scale contrast, invert."""
    flip: bool = False
    """Mirror every other clip, on datasets in which left and right are the same class."""
    jitter: int = Field(default=0, ge=0)
    """Frames by which a clip begins later and ends earlier at most, while the backbone is tuned."""

    @field_validator("episodes_at_once")
    @classmethod
    def _divide_a_step(cls, at_once: int, before: ValidationInfo) -> int:
        if (in_all := before.data.get("episodes_per_step", 0)) % at_once:
            raise ValueError(f"it should divide episodes_per_step, which is {in_all}")
        return at_once

    @field_validator("rate_from_step")
    @classmethod
    def _ascend(cls, pairs: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
        if list(pairs) != sorted(pairs):
            raise ValueError("its steps should ascend, as in [[2250, 0.1], [3750, 0.01]]")
        return pairs

    @property
    def complete(self) -> "TrainingRecipe":
        """With defaults as if they were given, so that a file holds them, too."""
        return TrainingRecipe(**self.model_dump())

    @property
    def episodes(self) -> int:
        """Training episodes in total."""
        return self.steps * self.episodes_per_step

    def learning_rate_at(self, step: int) -> float:
        """Factor of both learning rates at a step, counted from 0: warm-up, then the schedule."""
        if step < self.warm_up_steps:
            done = (step + 1) / (self.warm_up_steps + 1)
            return self.warm_up_from + (1 - self.warm_up_from) * done
        factor = 1.0
        for first, of_rate in self.rate_from_step:
            if step >= first:
                factor = of_rate
        if self.schedule == "constant":
            return factor
        left = max(1, self.steps - self.warm_up_steps)
        return factor * 0.5 * (1 + math.cos(math.pi * (step - self.warm_up_steps) / left))
