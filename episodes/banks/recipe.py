"""Recipes: the small text files from which banks are rebuilt."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from episodes.datasets import datasets
from episodes.errors import UserError, unknown
from episodes.schema import Model, parsed, read_toml
from episodes.split import SplitName

Protocol = Literal["standard", "one-class", "group-disjoint", "partners"]
FOLDER = Path(__file__).parents[1] / "recipes"
UNKNOWN = ""
"""Stands for a hash that has not been computed yet."""
MOST_PLACES = 100_000_000
"""Places for videos in all episodes of a bank: half a gigabyte."""


class Recipe(Model):
    """Everything that determines the episodes of a bank, and their hash."""

    name: str
    """The name of the file without suffix; the file itself does not state it."""
    dataset: str
    """Name of the data set."""
    split: SplitName
    """The split whose classes occur in episodes."""
    protocol: Protocol
    """``standard``: queries from every class; ``one-class``: all queries from one random class, as
    in MASTAF's own code; ``group-disjoint``: standard, but no query shares its recording with a
    support video of its class; ``partners``: standard, with as many partner pairs among the
    classes as fit: a test of temporal order."""
    way: int = Field(ge=1)
    """Classes in an episode."""
    shot: int = Field(ge=1)
    """Support videos of each class."""
    queries: int = Field(ge=1)
    """Query videos of each class that queries are drawn from."""
    episodes: int = Field(ge=1)
    """Number of episodes, which the hash covers."""
    seed: int
    """Seed of the draws."""
    sampler: int
    """Version of the sampler, `episodes.banks.sampler.VERSION`."""
    split_sha256: str = UNKNOWN
    """Hash of the split's canonical list."""
    episodes_sha256: str = UNKNOWN
    """Hash of the episodes that the recipe must yield."""
    contents_sha256: str = UNKNOWN
    """Hash of the contents of the videos in these episodes, if they were frozen with `fvbench bank
    freeze`."""

    @field_validator("way")
    @classmethod
    def _holds_a_pair(cls, way: int, before: ValidationInfo) -> int:
        if way < 2 and before.data.get("protocol") == "partners":
            raise ValueError("a partner pair needs 2")
        return way

    @field_validator("episodes")
    @classmethod
    def _fit_into_memory(cls, episodes: int, before: ValidationInfo) -> int:
        way, shot, queries = (before.data.get(key, 0) for key in ("way", "shot", "queries"))
        if (places := episodes * way * (shot + queries)) > MOST_PLACES:
            raise ValueError(
                f"with {way} classes of {shot} + {queries} videos they need {places:,} places for"
                f" videos, and a bank has at most {MOST_PLACES:,}: ask for fewer --episodes"
            )
        return episodes

    @property
    def queries_per_episode(self) -> int:
        """Query videos in one episode."""
        return self.queries if self.protocol == "one-class" else self.way * self.queries

    def text(self) -> str:
        """Return the recipe as the text of its file."""
        values = self.model_dump(exclude={"name"})
        if self.contents_sha256 == UNKNOWN:
            del values["contents_sha256"]
        lines = (
            f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
        )
        return "".join(lines)  # what JSON quotes, TOML reads


def recipe_names() -> list[str]:
    """Return the names of the committed recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipes_of_plugins() -> dict[str, Path]:
    """Return the recipe files in the folders of plugins' data sets, by the names of their banks."""
    folders = (getattr(source, "recipes", None) for source in datasets().values())
    paths = (path for folder in folders if folder for path in Path(folder).glob("[!.]*.toml"))
    return {path.stem: path for path in paths}


def read_recipe(name_or_path: str) -> Recipe:
    """Read a committed recipe or one of a plugin by name, or any recipe file by path.

    Raises:
        UserError: no such recipe, or a file that is not one.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
        if name_or_path not in recipe_names():  # the disk may not tell Default from default
            path = recipes_of_plugins().get(name_or_path, FOLDER / "absent")
    if not path.is_file():
        raise unknown("bank", name_or_path, [*recipe_names(), *recipes_of_plugins()])
    try:
        content = read_toml(path)
        if "name" in content:
            raise ValueError("there is no key name; a bank is called what its file is")
        return parsed(Recipe, {"name": path.stem, **content})
    except ValueError as error:
        raise UserError(
            f"{path} is not a bank recipe: {error}; `fvbench bank new` writes one"
        ) from error


def recipe_of(**values: Any) -> Recipe:
    """Return the recipe with these values of its fields.

    Raises:
        UserError: a value is not allowed.
    """
    try:
        return parsed(Recipe, values)
    except ValueError as error:
        raise UserError(f"bank {values['name']}: {error}") from error
