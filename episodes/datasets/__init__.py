"""The datasets: one file each, found because it lies here.

A module that defines ``DATASET``, an object that satisfies `Dataset`, adds one; so does a plugin
(`episodes.plugins`).

May import: episodes, episodes.decoding, episodes.disk, episodes.rendered.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from episodes.disk.registration import registered_names, registration
from episodes.errors import UserError, unknown, warn
from episodes.plugins import brought
from episodes.split import Progress, Split, SplitName, Video, VideoFile


class Dataset(Protocol):
    """What the harness requires of a dataset."""

    name: str
    description: str
    directional: bool
    """Whether mirroring a video may change its class: then training mirrors none."""

    def split(self, name: SplitName) -> Split:
        """Return a split's list, without touching any video."""
        ...

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Progress
    ) -> list[VideoFile]:
        """Return the files of the videos, in the same order, after making or checking them."""
        ...

    def state(self) -> str:
        """Say in one line which videos are present, and how to get the others."""
        ...


ENTRY_POINTS = "fvbench.datasets"
"""Entry-point group in which other distributions announce data sets, or modules that have one."""


def datasets() -> dict[str, Dataset]:
    """Return all datasets by name: the built-in ones, those of plugins, and the user's own.

    A data set of the user's own whose registration is damaged is left out, with one warning.

    Raises:
        UserError: a plugin's data set is incomplete, or has the name of another one.
    """
    known = dict(_built_in())
    for plugin in brought(ENTRY_POINTS):
        found: Any = getattr(plugin, "DATASET", None) if isinstance(plugin, ModuleType) else plugin
        if found is None:
            continue
        needed = ("name", "description", "directional", "split", "files", "state")
        if missing := [name for name in needed if not hasattr(found, name)]:
            raise UserError(
                f"the data set {found!r} of a plugin has no {', '.join(missing)}; see"
                " episodes.datasets.Dataset"
            )
        if known.setdefault(found.name, found) is not found:
            raise UserError(f"two data sets are called {found.name}; rename that of the plugin")
    for name in registered_names():
        if name in known:
            continue
        try:
            mine = registration(name)
        except UserError as error:  # the others can be used, and this can be registered again
            _warn_once(f"left out: {error}")
            continue
        if mine:
            folder = importlib.import_module(f"{__name__}.folder")
            known[name] = folder.Folder(name, mine.root, mine.lists)
    return known


_warn_once = cache(warn)


@cache
def _built_in() -> dict[str, Dataset]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    found = (module.DATASET for module in modules if hasattr(module, "DATASET"))
    return {data_set.name: data_set for data_set in found}


def dataset(name: str) -> Dataset:
    """Return the dataset called ``name``.

    Raises:
        UserError: there is none, and the message suggests similar names; or its registration is
            damaged.
    """
    known = datasets()
    if name not in known:
        if name in registered_names():
            registration(name)  # says what is wrong with it
        raise unknown("dataset", name, known)
    return known[name]
