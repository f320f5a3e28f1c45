"""Registering a folder of anybody's own videos: which classes train, validate and test."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from episodes.datasets.folder import Folder
from episodes.errors import UserError
from episodes.lists import ClassList, read_lists, without_suffix
from episodes.registration import Members, Registration
from episodes.split import SplitName, Video

SHARES: Mapping[SplitName, int] = {"train": 64, "val": 12, "test": 24}
"""Per cent of the classes, as in the splits of Kinetics and Something-Something."""


def register_folder(name: str, root: Path, lists: Path | None) -> Registration:
    """Examine a folder of ``class/video``; nothing is written.

    Args:
        name: of the dataset.
        root: the folder.
        lists: folder with lists of ``class/video``, their names saying which split they list;
            if None, classes are shared out by the hashes of their names.

    Raises:
        UserError: no such folder, a listed video is not there, or a class is in two splits.
    """
    folder = Folder(name, root)
    videos = folder.videos
    splits = _listed(read_lists(lists), videos) if lists else _shared_out(videos)
    _refuse_shared_classes(splits)
    return Registration(name, folder.root, False, splits)


def _shared_out(videos: Sequence[Video]) -> dict[SplitName, Members]:
    """Share classes out: a class's place depends on its name alone, not on the order of a disk."""
    labels = sorted({video.label for video in videos}, key=_hash)
    splits: dict[SplitName, Members] = {}
    first = taken = 0
    for split, share in SHARES.items():
        taken += share
        last = round(len(labels) * taken / 100)
        chosen = set(labels[first:last])
        members = tuple((one.label, one.name) for one in videos if one.label in chosen)
        if members:
            splits[split] = members
        first = last
    return splits


def _hash(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()


def _listed(lists: Sequence[ClassList], videos: Sequence[Video]) -> dict[SplitName, Members]:
    there = _by_listed_name(videos)
    splits: dict[SplitName, Members] = {}
    for one in lists:
        if one.split is None or one.split in splits:
            raise UserError(
                f"{one.path}: a list is called train.txt, val.txt or test.txt, one for each split"
            )
        pairs = sorted((label, name) for label, names in one.classes.items() for name in names)
        missing = [pair for pair in pairs if pair not in there]
        if missing:
            raise UserError(
                f"{one.path} lists {'/'.join(missing[0])} and {len(missing) - 1} more that are not"
                " there; a line is CLASS/VIDEO, as the folders are called"
            )
        splits[one.split] = tuple((there[pair].label, there[pair].name) for pair in pairs)
    return splits


def _by_listed_name(videos: Sequence[Video]) -> Mapping[tuple[str, str], Video]:
    """Videos by class and name as lists have it: without the folder of a recording and the suffix.

    Raises:
        UserError: two have the same.
    """
    found: dict[tuple[str, str], Video] = {}
    for video in videos:
        listed = video.label, without_suffix(video.name.rpartition("/")[2])
        if listed in found:
            raise UserError(
                f"a list cannot tell {found[listed].name} from {video.name} in the class"
                f" {video.label!r}; give the files of a class different names"
            )
        found[listed] = video
    return found


def _refuse_shared_classes(splits: Mapping[SplitName, Members]) -> None:
    """A class that is trained on is no unseen class in a test."""
    times = Counter(label for members in splits.values() for label in {one for one, _ in members})
    twice = sorted(label for label, count in times.items() if count > 1)
    if twice:
        raise UserError(
            f"class {twice[0]!r} is in two splits, {len(twice)} such in all; splits of a few-shot"
            " dataset share no class: leave it in one list"
        )
