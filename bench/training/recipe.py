"""Recipes of meta-training: data, checked when they are read.

A file holds a table ``[default]`` and tables ``[method.NAME]`` with what differs for a method (and
its variants) or for one variant. A file without ``[default]`` is for those methods alone; one with
``base = "NAME"`` states what differs from another, or from a file beside it if the name ends in
``.toml``. ``[method.NAME.settings]`` changes settings of the method itself, which its card records.
"""

import math
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from bench.method import ConfiguredMethod
from bench.settings import checked, is_of_kind, kind_in_words
from bench.training.recipe_file import methods_spoken_of, tables
from episodes.banks.recipe import PROTOCOLS, Protocol
from episodes.errors import UserError

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
BatchNorm = Literal["live", "frozen"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainingRecipe:
    """How a method is trained; the same for all methods unless a recipe says otherwise.

    Way and shot are not here: they are those of the validation bank.
    """

    name: str
    optimiser: Optimiser
    learning_rate: float
    """Of everything but the backbone; the highest that the schedule reaches."""
    backbone_learning_rate: float
    steps: int
    episodes_per_step: int
    episodes_at_once: int
    """Episodes in one forward pass, whose clips share the statistics of a live batch norm; the
    gradients of a step's passes add up."""
    queries: int
    """Of each class that is queried."""
    protocol: Protocol
    validate_every: int
    """Steps."""
    validation_episodes: int
    schedule: Schedule = "constant"
    rate_from_step: tuple[tuple[int, float], ...] = ()
    """Steps, counted from 0 and ascending, each with the factor of the learning rates from there
    on; 1 before the first."""
    warm_up_steps: int = 0
    warm_up_from: float = 0.0
    """Share of the learning rates at which the warm-up begins."""
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    without_weight_decay: tuple[str, ...] = ()
    """Parameters that weight decay spares: patterns (as in `fnmatch`) of their names, which begin
    with ``method.``, ``backbone.`` or ``head.``, or of their layers' kinds: ``LayerNorm``."""
    clip_norm: float = 0.0
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
    shift: int = 0
    """Pixels by which a clip is moved at most, while the backbone is tuned; its border is repeated
    where there is nothing to see."""
    random_crop: bool = False
    """Cut clips out of anywhere in the resized picture, not out of its centre, while the backbone
    is tuned. There is room only where pictures are resized to more than the backbone sees."""
    recolour: bool = False
    """Permute colours, scale contrast, invert."""
    flip: bool = False
    """Mirror every other clip, on datasets in which left and right are the same class."""
    jitter: int = 0
    """Frames by which a clip begins later and ends earlier at most, while the backbone is tuned."""

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        for field in fields(self):
            self._check_type(field.name, field.type)
            value = getattr(self, field.name)
            if isinstance(value, float):
                self._check(field.name, math.isfinite(value), "it is a finite number")
        for name in ("steps", "episodes_per_step", "episodes_at_once", "queries"):
            self._check(name, getattr(self, name) >= 1, "it is at least 1")
        for name in ("validate_every", "validation_episodes"):
            self._check(name, getattr(self, name) >= 1, "it is at least 1")
        self._check("learning_rate", self.learning_rate > 0, "it is above 0")
        for name in (
            *("backbone_learning_rate", "momentum", "weight_decay", "clip_norm"),
            *("shift", "jitter", "warm_up_steps", "warm_up_from"),
        ):
            self._check(name, getattr(self, name) >= 0, "it is not negative")
        self._check(
            "rate_from_step",
            all(map(_is_step_and_factor, self.rate_from_step))
            and list(self.rate_from_step) == sorted(self.rate_from_step),
            "it is pairs of a step and a factor, the steps ascending: [[2250, 0.1], [3750, 0.01]]",
        )
        self._check("protocol", self.protocol in PROTOCOLS, f"one of {', '.join(PROTOCOLS)}")
        self._check(
            "episodes_per_step",
            self.episodes_per_step % self.episodes_at_once == 0,
            f"it is a multiple of episodes_at_once, which is {self.episodes_at_once}",
        )

    def _check_type(self, name: str, declared: Any) -> None:
        good = is_of_kind(getattr(self, name), declared)
        self._check(name, good, kind_in_words(declared))

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            raise UserError(
                f"training recipe {self.name}: {name} is {getattr(self, name)!r}; {rule}"
            )

    @property
    def episodes(self) -> int:
        """Training episodes in all."""
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


def _is_step_and_factor(pair: Any) -> bool:
    match pair:
        case (int(), int() | float()):
            return not isinstance(pair[0], bool)
    return False


def read_training_recipe(
    name_or_path: str,
    entry: ConfiguredMethod,
    episodes: int | None = None,
    global_weight: float | None = None,
) -> TrainingRecipe:
    """Read the recipe for a method.

    Args:
        name_or_path: "default", "paper" (what the method's authors state), or the path of a file.
        entry: the method that will be trained.
        episodes: training episodes, rounded up to whole steps; None for the recipe's.
        global_weight: instead of the recipe's, if not None.

    Raises:
        UserError: no such recipe, a field that is unknown or out of range, or a recipe that says
            nothing about this method.
    """
    name = Path(name_or_path).stem
    values = _values(name_or_path, entry)
    if global_weight is not None:
        values["global_weight"] = global_weight
    declared = {field.name: field for field in fields(TrainingRecipe)}
    if strange := sorted(values.keys() - declared.keys() - {"name"}):
        raise UserError(
            f"training recipe {name}: there is no {', '.join(strange)}; a recipe has"
            f" {', '.join(declared)}"
        )
    needed = {key for key, field in declared.items() if field.default is MISSING} - {"name"}
    if missing := sorted(needed - values.keys()):
        raise UserError(f"training recipe {name}: {', '.join(missing)} is missing for {entry.name}")
    recipe = TrainingRecipe(name=name, **{key: _frozen(value) for key, value in values.items()})
    if episodes is None:
        return recipe
    return replace(recipe, steps=-(-episodes // recipe.episodes_per_step))


def _frozen(value: Any) -> Any:
    """Lists of a file as tuples, which a recipe holds."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def with_settings(name_or_path: str, entry: ConfiguredMethod) -> ConfiguredMethod:
    """Return the method with the settings that a recipe gives it, usually its own.

    Args:
        name_or_path: of the recipe, as in `read_training_recipe`.
        entry: the method as it is registered.

    Raises:
        UserError: the method has no such setting, or not with such a value.
    """
    settings: dict[str, Any] = {}
    for found in tables(name_or_path, entry):
        settings |= found.get("settings", {})
    where = f"training recipe {Path(name_or_path).stem}"
    values = {
        key: checked(where, entry.name, entry.settings, key, value)
        for key, value in settings.items()
    }
    return replace(entry, settings=replace(entry.settings, **values | dict(entry.given)))


def _values(name_or_path: str, entry: ConfiguredMethod) -> dict[str, Any]:
    """Put together what a file, and the one it is based on, say about one method's training."""
    values: dict[str, Any] = {}
    for found in tables(name_or_path, entry):
        values |= {key: value for key, value in found.items() if key != "settings"}
    if not values:
        raise UserError(
            f"training recipe {name_or_path} says nothing about {entry.name}, only about"
            f" {', '.join(methods_spoken_of(name_or_path))}; use --recipe default,"
            " or write a file of your own"
        )
    return values
