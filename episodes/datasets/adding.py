"""Registering a user's dataset."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from episodes.datasets import datasets
from episodes.datasets.folder import Folder
from episodes.datasets.own_splits import register_folder
from episodes.datasets.published import Published
from episodes.disk.locating import Index
from episodes.disk.registration import Registration, write_registration
from episodes.errors import UserError
from episodes.split import SplitName

TOO_NEAR = 0.85
"""Similarity to a published dataset's name above which a new name is taken for a typing error."""


@dataclass(frozen=True)
class Added:
    """What was registered, and how much of it was found."""

    registration: Registration
    there: Mapping[SplitName, int]
    """Videos found, by split."""
    unknown: Mapping[SplitName, str]
    """Why a split's list is not known, by split."""

    def lines(self) -> Iterator[str]:
        """Describe it for a terminal."""
        yield f"registered {self.registration.name} at {self.registration.root}"
        for split, found in self.there.items():
            listed = len(self.registration.lists[split])
            yield f"{split}: {found:,} of {listed:,} videos found"
        for split, reason in self.unknown.items():
            yield f"{split}: not known. {reason}"


def add_dataset(name: str, root: Path, lists: Path | None, trust: bool) -> Added:
    """Examine a dataset and register it, replacing any earlier registration of its name.

    Raises:
        UserError: nothing was registered.
    """
    known = datasets().get(name)
    if isinstance(known, Published):
        return _add_published(known, root.expanduser(), lists, trust)
    if known is not None and name != "rendered" and not isinstance(known, Folder):
        raise UserError(f"{name} is a data set of a plugin, which knows where its videos are")
    _check_name(name)
    mine = register_folder(name, root.expanduser(), lists)
    write_registration(mine)
    return Added(mine, {split: len(members) for split, members in mine.lists.items()}, {})


def _check_name(name: str) -> None:
    if name == "rendered" or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(
            f"a dataset cannot be called {name!r}: a name is made of letters, digits, dots, dashes"
            " and underscores, and `rendered` is the program's own"
        )
    published = [one for one, kind in datasets().items() if isinstance(kind, Published)]
    if near := difflib.get_close_matches(name.lower(), published, n=1, cutoff=TOO_NEAR):
        raise UserError(
            f"{name!r} is nearly {near[0]!r}; use that name for the published dataset, or another"
            " one for your own"
        )


def _add_published(known: Published, root: Path, lists: Path | None, trust: bool) -> Added:
    if lists is None and not known.derivable:
        raise UserError(
            f"{known.name} needs its lists: a folder does not tell which videos belong to it."
            f" docs/data.md says where to find them; then {known.command}"
        )
    mine = known.registered_at(root, lists, trust)
    index = known.index(mine.root)
    there = {
        split: sum(
            bool(known.places(index, video)) for video in known.as_split(split, members).videos
        )
        for split, members in mine.lists.items()
    }
    reasons = _reasons(known, mine, index)
    if not any(there.values()):
        why = next((f" ({one})" for one in reasons.values()), "") if not there else ""
        raise UserError(
            f"none of the videos of {known.name} lies below {mine.root}, and nothing was"
            f" registered{why}; name the folder that holds them, or a folder above it"
        )
    write_registration(mine)
    return Added(mine, there, reasons)


def _reasons(known: Published, mine: Registration, index: Index) -> dict[SplitName, str]:
    reasons: dict[SplitName, str] = {}
    for split in (one for one in known.facts.splits if one not in mine.lists):
        try:
            known.members_from_folder(split, index)
        except UserError as error:
            reasons[split] = str(error)
    return reasons
