"""Recipe files: the tables that apply to a method, in a file and in what it is based on."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.method import ConfiguredMethod
from episodes.errors import UserError, unknown

FOLDER = Path(__file__).parent / "recipes"
Table = Mapping[str, Any]


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def tables(name_or_path: str, entry: ConfiguredMethod) -> Iterator[Table]:
    """Yield the tables that apply to a method, from the most general to the most specific.

    Args:
        name_or_path: of the recipe, as in `bench.training.recipe.read_training_recipe`.
        entry: the method.

    Raises:
        UserError: no such recipe, one that is based on itself, or no table where one has to be.
    """
    for path in _based_on(name_or_path):
        content = _content(path)
        yield _table(content, "default", path)
        for which in dict.fromkeys((entry.cls.name, entry.registered)):
            found = _table(_table(content, "method", path), which, path)
            _table(found, "settings", path)
            yield found


def methods_spoken_of(name_or_path: str) -> list[str]:
    """Return the names of the methods for which a file has tables of their own."""
    path = _path(name_or_path, Path())
    return sorted(_table(_content(path), "method", path))


def _based_on(name_or_path: str) -> list[Path]:
    """The recipe's file behind the one it is based on, and so on; the most general is first."""
    chain: list[Path] = []
    wanted: Any = name_or_path
    while wanted is not None:
        if not isinstance(wanted, str):
            raise UserError(
                f"training recipe {chain[-1]}: base is {wanted!r}; it is the name of a recipe"
                f" ({', '.join(recipe_names())}) or the path of a file, in quotes"
            )
        path = _path(wanted, chain[-1].parent if chain else Path())
        if path.resolve() in [one.resolve() for one in chain]:
            raise UserError(
                f"training recipe {path} is based on itself"
                f" ({' on '.join(one.name for one in [*chain, path])}); name another base, or none"
            )
        chain.append(path)
        wanted = _content(path).get("base")
    return chain[::-1]


def _path(name_or_path: str, beside: Path) -> Path:
    """Find a recipe's file: one that comes with the program, or a path seen from a folder."""
    is_path = name_or_path.endswith(".toml")
    path = beside / name_or_path if is_path else FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        raise unknown("training recipe", str(path) if is_path else name_or_path, recipe_names())
    return path


def _content(path: Path) -> Table:
    """Read a recipe's file as it stands."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a training recipe: {error}") from error


def _table(content: Table, name: str, path: Path) -> Table:
    """Return a table of a file, empty if it has none."""
    found = content.get(name, {})
    if not isinstance(found, Mapping):
        raise UserError(
            f"training recipe {path}: {name} is {found!r}; it is a table, as [default],"
            " [method.NAME] and [method.NAME.settings] are"
        )
    return found
