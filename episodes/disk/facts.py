"""What is known about the published splits: class names, counts and hashes, never the lists.

There is a small file for each dataset. A class is recognised by the hash of its videos' names,
whatever a list or a folder calls it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path

from episodes.errors import UserError
from episodes.schema import Model, parsed, read_toml
from episodes.split import SPLIT_NAMES, SplitName

FOLDER = Path(__file__).parents[1] / "datasets" / "facts"


@dataclass(frozen=True)
class ClassFacts:
    """One class of a published split."""

    videos: int
    sha256: str
    """Hash of its videos' names, see `names_sha256`."""
    label: str = ""
    """Its name; the file has it as the key alone."""
    alias: str = ""
    """Its name in the published list, where that is not the label."""
    recordings: tuple[int, ...] = ()
    """Number of videos of each recording in canonical order, if names tell recordings and some
    have several videos; empty otherwise."""


@dataclass(frozen=True)
class SplitFacts:
    """One published split."""

    videos: int
    sha256: str
    """Hash of the canonical list, see `episodes.split.Split.sha256`."""
    classes: Mapping[str, ClassFacts]


class FactsFile(Model):
    """``NAME.toml``: the published splits of a data set."""

    train: SplitFacts | None = None
    """Training classes."""
    val: SplitFacts | None = None
    """Validation classes."""
    test: SplitFacts | None = None
    """Test classes."""


@dataclass(frozen=True)
class Facts:
    """The published splits of one dataset."""

    dataset: str
    splits: Mapping[SplitName, SplitFacts]

    @cached_property
    def by_hash(self) -> Mapping[str, tuple[SplitName, ClassFacts]]:
        """Split and class by the hash of the names of the class's videos."""
        return {known.sha256: (split, known) for split, known in self._all()}

    @cached_property
    def by_name(self) -> Mapping[str, tuple[SplitName, ClassFacts]]:
        """Split and class by `folded` label or alias."""
        return {
            folded(name): (split, known)
            for split, known in self._all()
            for name in filter(None, (known.label, known.alias))
        }

    def _all(self) -> Iterator[tuple[SplitName, ClassFacts]]:
        for name, split in self.splits.items():
            for known in split.classes.values():
                yield name, known


@cache
def facts(dataset: str) -> Facts:
    """Read the facts of a dataset.

    Raises:
        UserError: its file is damaged.
    """
    path = FOLDER / f"{dataset}.toml"
    try:
        found = parsed(FactsFile, read_toml(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a file of facts: {error}; restore it") from error
    splits: dict[SplitName, SplitFacts] = {}
    for name in SPLIT_NAMES:
        if (split := getattr(found, name)) is not None:
            classes = {label: replace(known, label=label) for label, known in split.classes.items()}
            splits[name] = replace(split, classes=classes)
    return Facts(dataset, splits)


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
    """Reduce a class name to its letters and digits, which all copies of a dataset spell alike.

    >>> folded("hurling (sport)") == folded("hurling_(sport)"), folded("HandStandPushups")
    (True, 'handstandpushups')
    """
    return "".join(character for character in name.casefold() if character.isalnum())
