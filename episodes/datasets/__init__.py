"""The datasets: one file each, found by being here.

A module that defines ``DATASET``, an object that answers `Dataset`, adds one; so does a plugin
(`episodes.plugins`).

May import: episodes, episodes.decoding, episodes.disk, episodes.rendered.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from episodes.disk.registration import registered_names
from episodes.errors import UserError, unknown
from episodes.plugins import brought
from episodes.split import Progress, Split, SplitName, Video, VideoFile

__all__ = ["Dataset", "VideoFile", "dataset", "datasets"]


class Dataset(Protocol):
    """What the harness requires of a dataset."""

    name: str
    description: str
    directional: bool
    """Whether a mirrored video may be of another class: then training mirrors none."""

    def split(self, name: SplitName) -> Split:
        """Return a split's list, without touching any video."""
        ...

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Progress
    ) -> list[VideoFile]:
        """Return where the videos are, in the order asked for, making or checking them first."""
        ...

    def state(self) -> str:
        """Say in one line what is present, and how to get the rest."""
        ...


ENTRY_POINTS = "fvbench.datasets"
"""Entry-point group under which other distributions announce data sets, or modules with one."""


def datasets() -> dict[str, Dataset]:
    """Return every dataset by its name: ours, those that plugins bring, and this user's own.

    Raises:
        UserError: a plugin's data set has the name of another one.
    """
    known = dict(_known())
    for one in brought(ENTRY_POINTS):
        found: Any = getattr(one, "DATASET", None) if isinstance(one, ModuleType) else one
        if found is None:
            continue
        _check_contract(found)
        if known.setdefault(found.name, found) is not found:
            raise UserError(f"two data sets are called {found.name}; rename that of the plugin")
    if own := [name for name in registered_names() if name not in known]:
        folder = importlib.import_module(f"{__name__}.folder")
        known |= {name: folder.registered(name) for name in own}
    return known


def _check_contract(found: object) -> None:
    """Refuse a plugin's data set that lacks part of the protocol."""
    needed = ("name", "description", "directional", "split", "files", "state")
    if missing := [word for word in needed if not hasattr(found, word)]:
        raise UserError(
            f"the data set {found!r} of a plugin has no {', '.join(missing)}; see"
            " episodes.datasets.Dataset"
        )


@cache
def _known() -> dict[str, Dataset]:
    modules = (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    )
    found = (module.DATASET for module in modules if hasattr(module, "DATASET"))
    return {one.name: one for one in found}


def dataset(name: str) -> Dataset:
    """Return the dataset called ``name``.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    known = datasets()
    if name not in known:
        raise unknown("dataset", name, known)
    return known[name]
