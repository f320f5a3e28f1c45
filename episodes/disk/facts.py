"""What is known of the published splits: class names, counts and hashes, never the lists.

One small file for each dataset. A class is recognised by the hash of its videos' names, whatever
a list or a folder calls it.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import cast

from episodes.split import SplitName

FOLDER = Path(__file__).parents[1] / "datasets" / "facts"


@dataclass(frozen=True)
class ClassFacts:
    """One class of a published split."""

    label: str
    videos: int
    sha256: str
    """Of its videos' names, see `names_sha256`."""
    alias: str = ""
    """What the published list calls it, where that is not the label."""
    recordings: tuple[int, ...] = ()
    """Videos of each recording in canonical order, where several were cut from one and the names
    tell it; empty otherwise."""


@dataclass(frozen=True)
class SplitFacts:
    """One published split."""

    videos: int
    sha256: str
    """Of the canonical list, see `episodes.split.Split.sha256`."""
    classes: Mapping[str, ClassFacts]


@dataclass(frozen=True)
class Facts:
    """The published splits of one dataset."""

    dataset: str
    splits: Mapping[SplitName, SplitFacts]

    @cached_property
    def by_hash(self) -> Mapping[str, tuple[SplitName, ClassFacts]]:
        """Split and class by the hash of the class's video names."""
        return {one.sha256: (split, one) for split, one in self._all()}

    @cached_property
    def by_name(self) -> Mapping[str, tuple[SplitName, ClassFacts]]:
        """Split and class by `folded` label or alias."""
        return {folded(name): found for found in self._all() for name in _names(found[1])}

    def _all(self) -> Iterable[tuple[SplitName, ClassFacts]]:
        return (
            (name, one) for name, split in self.splits.items() for one in split.classes.values()
        )


def _names(one: ClassFacts) -> tuple[str, ...]:
    return (one.label, one.alias) if one.alias else (one.label,)


@cache
def facts(dataset: str) -> Facts:
    """Read the facts of a dataset."""
    content = tomllib.loads((FOLDER / f"{dataset}.toml").read_text(encoding="utf-8"))
    splits = {
        cast(SplitName, name): SplitFacts(
            split["videos"],
            split["sha256"],
            {label: _class_facts(label, **values) for label, values in split["classes"].items()},
        )
        for name, split in content.items()
    }
    return Facts(dataset, splits)


def _class_facts(
    label: str, videos: int, sha256: str, alias: str = "", recordings: Iterable[int] = ()
) -> ClassFacts:
    return ClassFacts(label, videos, sha256, alias, tuple(recordings))


def all_facts() -> list[Facts]:
    """Read the facts of every published dataset."""
    return [facts(path.stem) for path in sorted(FOLDER.glob("*.toml"))]


def names_sha256(names: Iterable[str]) -> str:
    """Hash of a set of video names, whatever their order.

    >>> names_sha256(["b", "a"]) == names_sha256(["a", "b"])
    True
    """
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


@lru_cache(4096)
def folded(name: str) -> str:
    """A class name without the parts that copies of a dataset spell differently.

    >>> folded("hurling (sport)") == folded("hurling_(sport)"), folded("HandStandPushups")
    (True, 'handstandpushups')
    """
    return "".join(character for character in name.casefold() if character.isalnum())
