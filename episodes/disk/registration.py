"""Where a user's datasets are, as recorded by ``fvbench data add``."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from episodes.atomic import content_seal, write_text
from episodes.errors import UserError
from episodes.split import SPLIT_NAMES, SplitName

ENVIRONMENT_VARIABLE = "FVBENCH_CONFIG"
SEAL = "content_sha256"
Members = tuple[tuple[str, str], ...]
"""(class, video) of every video of a split."""


@dataclass(frozen=True)
class Registration:
    """One dataset of this user."""

    name: str
    root: Path
    published: bool
    """Whether the program knows the dataset; if not, it is a folder of the user's own videos."""
    lists: Mapping[SplitName, Members]
    """Members of the splits that are known; those of others follow from the folder."""


def config_folder() -> Path:
    """Return where registrations are kept: ``$FVBENCH_CONFIG``, or the platform's folder."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_config_path("fewshot-video-bench")


def write_registration(registration: Registration) -> Path:
    """Store a registration, replacing an earlier one of the same name; return its file."""
    content = {
        "root": str(registration.root),
        "published": registration.published,
        "lists": {split: list(members) for split, members in registration.lists.items()},
    }
    path = _path(registration.name)
    write_text(path, json.dumps({**content, SEAL: content_seal(content)}, indent=0) + "\n")
    return path


def registration(name: str) -> Registration | None:
    """Return a dataset's registration; None if it has none.

    Raises:
        UserError: its file is damaged.
    """
    path = _path(name)
    if not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Registration:
    """Read a file again only if it has changed: that of ssv2-all has 4 MB."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seal = content.pop(SEAL, None)  # earlier versions wrote none
        if seal is not None and seal != content_seal(content):
            raise ValueError("it was changed after it was written")
        lists = {split: _members(pairs) for split, pairs in content["lists"].items()}
        if lists.keys() - set(SPLIT_NAMES) or not isinstance(content["published"], bool):
            raise ValueError("it is not as it was written")
        return Registration(path.stem, Path(content["root"]), content["published"], lists)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}); register the dataset again with `fvbench data add`, or"
            " delete the file"
        ) from error


def registered_names() -> list[str]:
    """Return the names of all registered datasets."""
    # A killed writer leaves an unfinished file, whose name begins with a dot.
    return sorted(path.stem for path in (config_folder() / "datasets").glob("[!.]*.json"))


def _members(pairs: Iterable[tuple[str, str]]) -> Members:
    members = tuple((label, video) for label, video in pairs)
    if not all(isinstance(name, str) for pair in members for name in pair):
        raise TypeError("classes and videos are names")
    return members


def _path(name: str) -> Path:
    return config_folder() / "datasets" / f"{name}.json"
