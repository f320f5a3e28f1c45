"""Recipes: the small text files from which banks are rebuilt."""

import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from episodes.datasets import datasets
from episodes.errors import UserError, unknown
from episodes.split import SPLIT_NAMES, SplitName

Protocol = Literal["standard", "one-class", "group-disjoint", "partners"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
FOLDER = Path(__file__).parents[1] / "recipes"
UNKNOWN = ""
"""Stands for a hash that has not been computed yet."""


MOST_PLACES = 100_000_000
"""Videos of all episodes of a bank, each counted as often as it occurs: half a gigabyte."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which episodes a bank holds, and their hash.

    Args:
        name: the file's name without suffix.
        dataset: name of the dataset.
        split: "train", "val" or "test".
        split_sha256: hash of the split's canonical list.
        protocol: "standard" (queries from every class), "one-class" (all queries from one random
            class, as MASTAF's own code has it), "group-disjoint" (standard, and no query shares
            its recording with a support video of its class) or "partners" (standard, with as many
            partner pairs as fit among the classes: a test of order).
        way: classes in an episode.
        shot: support videos of each class.
        queries: query videos of each class that is queried.
        episodes: how many the hash covers.
        seed: another seed, other episodes.
        sampler: version of the drawing arithmetic, `episodes.banks.sampler.VERSION`.
        episodes_sha256: hash of the episodes this must yield.
        contents_sha256: hash of the contents of the videos in these episodes, where somebody froze
            them (`fvbench bank freeze`).
    """

    name: str
    dataset: str
    split: SplitName
    protocol: Protocol
    way: int
    shot: int
    queries: int
    episodes: int
    seed: int
    sampler: int
    split_sha256: str = UNKNOWN
    episodes_sha256: str = UNKNOWN
    contents_sha256: str = UNKNOWN

    def __post_init__(self) -> None:
        """Refuse values that are invalid for any bank."""
        for declared in fields(self):
            value, kind = getattr(self, declared.name), int if declared.type is int else str
            if type(value) is not kind:
                raise UserError(
                    f"recipe {self.name}: {declared.name} is {value!r}; it is"
                    f" {'a whole number' if kind is int else 'a text'}"
                )
        for field in ("way", "shot", "queries", "episodes", "seed", "sampler"):
            value = getattr(self, field)
            if type(value) is not int:
                raise UserError(f"recipe {self.name}: {field} is {value!r}; it is a whole number")
            if value < 1 and field not in {"seed", "sampler"}:
                raise UserError(f"recipe {self.name}: {field} is {value}; it is at least 1")
        size = self.episodes * self.way * (self.shot + self.queries)
        if size > MOST_PLACES:
            raise UserError(
                f"recipe {self.name}: {self.episodes:,} episodes of {self.way} classes with"
                f" {self.shot} + {self.queries} videos are {size:,} places of videos; a bank has at"
                f" most {MOST_PLACES:,}: ask for fewer --episodes"
            )
        if self.protocol not in PROTOCOLS:
            raise UserError(
                f"recipe {self.name}: protocol {self.protocol!r} is none of {', '.join(PROTOCOLS)}"
            )
        if self.protocol == "partners" and self.way < 2:
            raise UserError(f"recipe {self.name}: way is {self.way}; a partner pair needs 2")
        if self.split not in SPLIT_NAMES:
            raise UserError(f"recipe {self.name}: split {self.split!r} is none of {SPLIT_NAMES}")

    @property
    def queries_per_episode(self) -> int:
        """Query videos in one episode."""
        return self.queries if self.protocol == "one-class" else self.way * self.queries

    def text(self) -> str:
        """Return the recipe as the text of its file."""
        values = {key: value for key, value in asdict(self).items() if key != "name"}
        if self.contents_sha256 == UNKNOWN:
            del values["contents_sha256"]
        lines = [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in values.items()
        ]
        return "\n".join(lines) + "\n"


def recipe_names() -> list[str]:
    """Return the names of the committed recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipes_of_plugins() -> dict[str, Path]:
    """Return the recipe files by their names that data sets of plugins bring in a folder."""
    folders = (getattr(one, "recipes", None) for one in datasets().values())
    return {path.stem: path for folder in folders if folder for path in Path(folder).glob("*.toml")}


def read_recipe(name_or_path: str) -> Recipe:
    """Read a committed recipe or one of a plugin by name, or any recipe file by path.

    Raises:
        UserError: no such recipe, or a file that is not one.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
        if not path.is_file():
            path = recipes_of_plugins().get(name_or_path, path)
    if not path.is_file():
        raise unknown("bank", name_or_path, [*recipe_names(), *recipes_of_plugins()])
    return _parsed(path)


def _parsed(path: Path) -> Recipe:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a bank recipe: {error}") from error
    known = {one.name: one.default is MISSING for one in fields(Recipe) if one.name != "name"}
    for word, found in (
        ("lacks", [name for name, needed in known.items() if needed and name not in values]),
        ("has an unknown field", [name for name in values if name not in known]),
    ):
        if found:
            raise UserError(
                f"{path} {word} {', '.join(found)}; a bank recipe states {', '.join(known)}, see"
                " docs/data.md"
            )
    return Recipe(name=path.stem, **values)
