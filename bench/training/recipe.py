"""Recipes of meta-training, checked when they are read.

A file holds a table ``[default]``, and tables ``[method.NAME]`` with the differences for a method
and its variants, or for one variant. A file without ``[default]`` is for those methods alone. A
file with ``base = "NAME"`` states the differences from another recipe, or from a file beside it if
the name ends in ``.toml``. ``[method.NAME.settings]`` changes settings of the method, which the
card of its weights records.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from bench.conformance.learning import has_global_head
from bench.method import ConfiguredMethod
from bench.runs.directory import can_be_stated
from bench.settings import checked
from bench.weights.recipe import TrainingRecipe
from episodes.errors import UserError, unknown, warn
from episodes.schema import Model, parsed, read_toml

FOLDER = Path(__file__).parent / "recipes"


class Table(Model):
    """``[default]`` or ``[method.NAME]``; the fields of a recipe are checked once combined."""

    model_config = ConfigDict(extra="allow")

    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the method itself."""


class RecipeFile(Model):
    """A file of training recipes."""

    base: str | None = None
    """Name or path of the recipe on which this one is based."""
    default: Table = Table()
    """Fields for all methods."""
    method: dict[str, Table] = Field(default_factory=dict)
    """Fields for a method and its variants, or for one variant."""


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_training_recipe(
    name_or_path: str,
    method: ConfiguredMethod,
    episodes: int | None = None,
    global_weight: float | None = None,
) -> TrainingRecipe:
    """Read the recipe for a method.

    Args:
        name_or_path: "default", "paper" (what the method's authors state), or the path of a file.
        method: the method to train.
        episodes: training episodes, rounded up to whole steps; None for the recipe's number.
        global_weight: weight of the global loss; None for the recipe's weight.

    Raises:
        UserError: there is no such recipe, it says nothing about this method, a field is unknown or
            out of range, or its name would not identify it in a run.
    """
    name = Path(name_or_path).stem
    values: dict[str, Any] = {}
    for found in tables(name_or_path, method):
        values |= found.model_extra or {}
    if not values:
        methods = sorted(_read(_path(name_or_path, Path())).method)
        raise UserError(
            f"training recipe {name_or_path} says nothing about {method.name}, only about"
            f" {', '.join(methods)}; use --recipe default, or write a file of your own"
        )
    if global_weight is not None:
        values["global_weight"] = global_weight
    try:
        if "name" in values:
            raise ValueError("there is no key name; a recipe has the name of its file")
        if not can_be_stated(name):
            raise ValueError("runs cannot state this name; rename the file, as in mine.toml")
        # Runs state the name alone, which would pass for the shipped recipe.
        if name in recipe_names() and not _path(name_or_path, Path()).samefile(_path(name, Path())):
            raise ValueError("a shipped recipe has this name; rename the file, as in mine.toml")
        recipe = parsed(TrainingRecipe, {"name": name, **values})
    except ValueError as error:
        raise UserError(f"training recipe {name}, for {method.name}: {error}") from error
    if episodes is None:
        return recipe
    return recipe.changed(steps=-(-episodes // recipe.episodes_per_step))


def check_effects(
    name_or_path: str,
    methods: Sequence[ConfiguredMethod],
    known: Collection[str],
    global_weight: float | None,
) -> None:
    """Check that a weight of the global loss has an effect, and warn of a recipe's idle tables.

    Tables for methods of plugins that are not loaded are idle too, so a recipe may have them.

    Args:
        name_or_path: as in `read_training_recipe`.
        methods: the methods to train.
        known: names of all methods.
        global_weight: weight of the global loss, if it is given.

    Raises:
        UserError: every method has a global loss of its own, which takes no weight from a recipe.
    """
    for file in _based_on(name_or_path):
        for name in sorted(file.method.keys() - set(known)):
            said = unknown("method", name, known)
            warn(f"training recipe {Path(name_or_path).stem}: [method.{name}] is not used: {said}")
    if global_weight is not None and all(has_global_head(one) for one in methods):
        raise UserError(
            f"--global-weight {global_weight:g} has no effect on"
            f" {', '.join(one.name for one in methods)}: such a method has global losses of its"
            " own, whose weights are settings ([method.NAME.settings] in a recipe)"
        )


def with_settings(name_or_path: str, method: ConfiguredMethod) -> ConfiguredMethod:
    """Return the registered method with the settings that a recipe states for it, if any.

    Raises:
        UserError: the method has no such setting, or the setting takes no such value.
    """
    settings: dict[str, Any] = {}
    for found in tables(name_or_path, method):
        settings |= found.settings
    where = f"training recipe {Path(name_or_path).stem}"
    values = {
        key: checked(where, method.name, method.settings, key, value)
        for key, value in settings.items()
    }
    return replace(method, settings=replace(method.settings, **values | dict(method.given)))


def tables(name_or_path: str, method: ConfiguredMethod) -> list[Table]:
    """Return the tables that apply to a method, from the most general to the most specific.

    Raises:
        UserError: there is no such recipe, it is based on itself, or it is not a recipe.
    """
    names = dict.fromkeys((method.cls.name, method.registered))
    return [
        found
        for file in _based_on(name_or_path)
        for found in (file.default, *(file.method.get(name, Table()) for name in names))
    ]


def _based_on(name_or_path: str) -> list[RecipeFile]:
    """Return a recipe's file after the files that it is based on, the most general first."""
    chain: dict[Path, RecipeFile] = {}
    wanted: str | None = name_or_path
    while wanted is not None:
        path = _path(wanted, list(chain)[-1].parent if chain else Path())
        if path.resolve() in [one.resolve() for one in chain]:
            raise UserError(
                f"training recipe {path} is based on itself"
                f" ({' on '.join(one.name for one in [*chain, path])}); name another base, or none"
            )
        chain[path] = _read(path)
        wanted = chain[path].base
    return list(chain.values())[::-1]


def _path(name_or_path: str, beside: Path) -> Path:
    """Find the file of a recipe: a shipped one, or a path relative to the folder ``beside``."""
    is_path = name_or_path.endswith(".toml")
    path = beside / name_or_path if is_path else FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        raise unknown("training recipe", str(path) if is_path else name_or_path, recipe_names())
    return path


def _read(path: Path) -> RecipeFile:
    try:
        return parsed(RecipeFile, read_toml(path))
    except ValueError as error:
        raise UserError(
            f'{path} is not a training recipe: {error}; it may have base = "NAME" and tables'
            " [default], [method.NAME], [method.NAME.settings]"
        ) from error
