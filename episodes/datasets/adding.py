"""Registering a user's dataset: a published one, or a folder of the user's own videos."""

import difflib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate, combinations
from pathlib import Path

from episodes.datasets import datasets
from episodes.datasets.folder import Folder
from episodes.datasets.published import Published
from episodes.disk.facts import folded
from episodes.disk.lists import ClassList, by_split, read_lists, without_suffix
from episodes.disk.membership import recognised
from episodes.disk.registration import (
    Members,
    Registration,
    registered_names,
    registration,
    write_registration,
)
from episodes.errors import UserError, note
from episodes.split import SPLIT_NAMES, SplitName, Video

TOO_NEAR = 0.85
"""Similarity to a published dataset's name above which a new name is taken for a typo."""
SHARES: Mapping[SplitName, int] = {"train": 64, "val": 12, "test": 24}
"""Percentage of classes, as in the splits of Kinetics and Something-Something."""


@dataclass(frozen=True)
class Added:
    """What is to be registered, and how much of it was found."""

    source: Published | Folder
    """The dataset as it is when it is registered."""
    registration: Registration
    there: Mapping[SplitName, int]
    """Split -> number of videos found."""
    unknown: Mapping[SplitName, str]
    """Split whose list is not known -> why."""

    def register(self) -> None:
        """Register it, in place of any earlier dataset of its name, of which a note tells."""
        with suppress(UserError):  # a damaged registration says nothing
            before = registration(self.registration.name)
            if before and before.root != self.registration.root:
                note(
                    f"{before.name} was registered at {before.root}; its banks read the new one now"
                )
        write_registration(self.registration)

    def lines(self) -> Iterator[str]:
        """Describe it for a terminal."""
        yield f"registered {self.registration.name} at {self.registration.root}"
        for split in filter(self.there.__contains__, SPLIT_NAMES):
            listed = len(self.registration.lists[split])
            yield f"{split}: {self.there[split]:,} of {listed:,} videos found"
        for split, reason in self.unknown.items():
            yield f"{split}: not known. {reason}"


def add_dataset(name: str, root: Path, lists: Path | None, trust: bool) -> Added:
    """Examine a dataset and register it, replacing any earlier registration of its name.

    Raises:
        UserError: nothing was registered.
    """
    added = examined(name, root, lists, trust)
    added.register()
    return added


def examined(name: str, root: Path, lists: Path | None, trust: bool) -> Added:
    """Find out what a dataset holds that is to be registered; nothing is written.

    Raises:
        UserError: it cannot be registered.
    """
    known = datasets().get(name)
    if isinstance(known, Published):
        return _add_published(known, root.expanduser(), lists, trust)
    if known is not None and name != "rendered" and not isinstance(known, Folder):
        raise UserError(f"{name} is a data set of a plugin, which knows where its videos are")
    _check_name(name)
    mine = register_folder(name, root.expanduser(), lists)
    there = {split: len(members) for split, members in mine.lists.items()}
    return Added(Folder(name, mine.root, mine.lists), mine, there, {})


def _check_name(name: str) -> None:
    if name == "rendered" or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(
            f"a dataset cannot be called {name!r}: a name has letters, digits, dots, dashes and"
            " underscores, and `rendered` is reserved"
        )
    known = datasets()
    published = {other: it for other, it in known.items() if isinstance(it, Published)}
    # Earlier versions took such names for a user's own videos, which may be registered again.
    new = name not in registered_names()
    for other, source in published.items():
        if new and folded(name) in map(folded, source.also_called):
            raise UserError(f"{name!r} is called {other!r} here; use that name")
    near = difflib.get_close_matches(name.lower(), published, n=1, cutoff=TOO_NEAR)
    # Many file systems do not tell capitals from small letters.
    others = {*known, *registered_names()} - {name}
    if near := near or [other for other in others if other.casefold() == name.casefold()]:
        raise UserError(
            f"{name!r} is nearly {near[0]!r}; use that name for the dataset that has it, or another"
            " one for your own"
        )


def _add_published(known: Published, root: Path, lists: Path | None, trust: bool) -> Added:
    if lists is None and not known.derivable:
        raise UserError(
            f"{known.name} needs its lists: a folder does not tell which videos belong to it."
            f" `fvbench list datasets` says where to find them; then {known.command}"
        )
    index = known.index(root.resolve())
    members = recognised(known.facts, read_lists(lists), trust) if lists else {}
    unknown: dict[SplitName, str] = {}
    for split in known.facts.splits:
        try:
            members[split] = members.get(split) or known.members_from_folder(split, index)
        except UserError as error:
            unknown[split] = str(error)
    _refuse_shared(
        "video", {split: [name for _, name in listed] for split, listed in members.items()}
    )
    there = {
        split: sum(
            bool(known.places(index, video)) for video in known.as_split(split, listed).videos
        )
        for split, listed in members.items()
    }
    if not there and index.members():
        raise UserError(f"nothing was registered: {next(iter(unknown.values()))}")
    if not any(there.values()):
        raise UserError(
            f"none of the videos of {known.name} lies below {index.root}, and nothing was"
            " registered; name the folder that holds them, or a folder above it"
        )
    mine = Registration(name=known.name, root=index.root, published=True, lists=members)
    return Added(replace(known, mine=mine), mine, there, unknown)


def _refuse_shared(kind: str, splits: Mapping[SplitName, Collection[str]]) -> None:
    """Refuse a class or a video in two splits: what was trained on cannot be tested on."""
    for one, other in combinations(splits, 2):
        if shared := sorted({*splits[one]} & {*splits[other]}):
            raise UserError(
                f"{kind} {shared[0]!r} is in the splits {one} and {other}, {len(shared)} such in"
                f" all; splits of a few-shot dataset share no {kind}: give the lists of all splits,"
                " and leave it in one"
            )


def register_folder(name: str, root: Path, lists: Path | None) -> Registration:
    """Examine a folder of ``class/video``; nothing is written.

    Lists have lines ``class/video`` or ``class/recording/video``, and the split in their names.
    Without any, classes are split by the hashes of their names.

    Raises:
        UserError: no such folder, a listed video is missing, ambiguous or listed twice, or a class
            is in two splits.
    """
    folder = Folder(name, root)
    videos = folder.videos
    splits = _listed(read_lists(lists, with_folders=True), videos) if lists else _shared_out(videos)
    _refuse_shared("class", {split: dict(members) for split, members in splits.items()})
    return Registration(name=name, root=folder.root, published=False, lists=splits)


def _shared_out(videos: Sequence[Video]) -> dict[SplitName, Members]:
    """Split the classes: a class's split depends on its name alone, not on directory order."""
    labels = sorted(
        {video.label for video in videos},
        key=lambda label: hashlib.sha256(label.encode()).hexdigest(),
    )
    ends = [round(len(labels) * share / 100) for share in accumulate(SHARES.values())]
    splits: dict[SplitName, Members] = {}
    for split, first, last in zip(SHARES, [0, *ends[:-1]], ends, strict=True):
        chosen = set(labels[first:last])
        if members := tuple((video.label, video.name) for video in videos if video.label in chosen):
            splits[split] = members
    return splits


def _listed(lists: Sequence[ClassList], videos: Sequence[Video]) -> dict[SplitName, Members]:
    by_path: defaultdict[tuple[str, str], list[Video]] = defaultdict(list)
    by_file: defaultdict[tuple[str, str], list[Video]] = defaultdict(list)
    for video in videos:
        name = without_suffix(video.name)
        by_path[video.label, name].append(video)
        by_file[video.label, name.rpartition("/")[2]].append(video)
    splits: dict[SplitName, Members] = {}
    for split, listing in by_split(lists).items():
        pairs = sorted((label, name) for label, names in listing.classes.items() for name in names)
        meant = {pair: by_path[pair] or by_file[pair] for pair in pairs}
        splits[split] = _one_for_each(listing.path, meant)
    return splits


def _one_for_each(path: Path, meant: Mapping[tuple[str, str], list[Video]]) -> Members:
    """Return the video that each line of a list, (class, name), stands for.

    Raises:
        UserError: a line stands for no video, or several, or the video of another line.
    """
    if missing := ["/".join(pair) for pair, videos in meant.items() if not videos]:
        raise UserError(
            f"{path} lists {missing[0]} and {len(missing) - 1} more that are not there; a line is"
            " CLASS/VIDEO or CLASS/RECORDING/VIDEO, as the folders are called"
        )
    for (label, name), videos in meant.items():
        if len(videos) > 1:
            raise UserError(
                f"{path}: {label}/{name} cannot tell {videos[0].name} from {videos[1].name}; list"
                " them as CLASS/RECORDING/VIDEO, and give videos of one folder different names"
            )
    members = Counter((video.label, video.name) for videos in meant.values() for video in videos)
    if twice := ["/".join(pair) for pair, times in members.items() if times > 1]:
        raise UserError(f"{path} lists {twice[0]} twice; remove one of the lines")
    return tuple(members)
