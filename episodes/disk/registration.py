"""Where a user's datasets are, as recorded by ``fvbench data add``."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import platformdirs

from episodes.atomic import content_seal, write_text
from episodes.errors import UserError
from episodes.schema import SEAL, Model, parsed, read_json
from episodes.split import SplitName

ENVIRONMENT_VARIABLE = "FVBENCH_CONFIG"
Members = tuple[tuple[str, str], ...]
"""(class, video) of every video of a split."""


class Registration(Model):
    """``datasets/NAME.json``: where a user has a dataset."""

    name: str
    """The name of the file without suffix; the file itself does not state it."""
    root: Path
    """The folder of the videos."""
    published: bool
    """Whether the program knows the dataset; if not, it is a folder of the user's own videos."""
    lists: Mapping[SplitName, Members]
    """Members of the splits that are known; those of others follow from the folder."""
    content_sha256: str | None = None
    """Hash of all other fields; files of earlier versions have none."""


def config_folder() -> Path:
    """Return where registrations are kept: ``$FVBENCH_CONFIG``, or the platform's folder."""
    usual = platformdirs.user_config_dir("fewshot-video-bench")
    chosen = os.environ.get(ENVIRONMENT_VARIABLE) or usual
    return Path(os.path.expanduser(chosen))  # noqa: PTH111 - pathlib raises an error


def write_registration(registration: Registration) -> Path:
    """Store a registration, replacing an earlier one of the same name; return its file."""
    content = registration.model_dump(mode="json", exclude={"name", SEAL})
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
        content = read_json(path)
        seal = content.pop(SEAL, None)
        if seal is not None and seal != content_seal(content):
            raise ValueError("it was changed after it was written")
        return parsed(Registration, content | {"name": path.stem})
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}); register the dataset again with `fvbench data add`, or"
            " delete the file"
        ) from error


def registered_names() -> list[str]:
    """Return the names of all registered datasets."""
    # A killed writer leaves an unfinished file, whose name begins with a dot.
    return sorted(path.stem for path in (config_folder() / "datasets").glob("[!.]*.json"))


def _path(name: str) -> Path:
    return config_folder() / "datasets" / f"{name}.json"
