"""Registering a folder of the user's own videos: training, validation and test classes."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from episodes.datasets.folder import Folder
from episodes.disk.lists import ClassList, read_lists, without_suffix
from episodes.disk.registration import Members, Registration
from episodes.errors import UserError
from episodes.split import SplitName, Video

SHARES: Mapping[SplitName, int] = {"train": 64, "val": 12, "test": 24}
"""Per cent of the classes, as in the splits of Kinetics and Something-Something."""
Found = Mapping[tuple[str, str], list[Video]]
"""By class and name, the videos that are called so."""


def register_folder(name: str, root: Path, lists: Path | None) -> Registration:
    """Examine a folder of ``class/video``; nothing is written.

    Args:
        name: of the dataset.
        root: the folder.
        lists: folder with lists of ``class/video`` or ``class/recording/video``, their names
            saying which split they list; if None, classes are split by the hashes of their names.

    Raises:
        UserError: no such folder, a listed video is missing, ambiguous or listed twice, or a class
            is in two splits.
    """
    folder = Folder(name, root)
    videos = folder.videos
    splits = _listed(read_lists(lists, with_folders=True), videos) if lists else _shared_out(videos)
    _refuse_shared_classes(splits)
    return Registration(name, folder.root, False, splits)


def _shared_out(videos: Sequence[Video]) -> dict[SplitName, Members]:
    """Split the classes: a class's split depends on its name alone, not on directory order."""
    labels = sorted(
        {video.label for video in videos},
        key=lambda label: hashlib.sha256(label.encode()).hexdigest(),
    )
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


def _listed(lists: Sequence[ClassList], videos: Sequence[Video]) -> dict[SplitName, Members]:
    by_path = _by_name(videos, lambda video: video.name)
    by_file = _by_name(videos, lambda video: _file(video.name))
    splits: dict[SplitName, Members] = {}
    for one in lists:
        if one.split is None or one.split in splits:
            raise UserError(
                f"{one.path}: a list is called train.txt, val.txt or test.txt, one for each split"
            )
        pairs = sorted((label, name) for label, names in one.classes.items() for name in names)
        found = {
            (label, name): by_path.get((label, without_suffix(name)))
            or by_file.get((label, without_suffix(_file(name))), [])
            for label, name in pairs
        }
        splits[one.split] = _one_for_each(one.path, found)
    return splits


def _file(name: str) -> str:
    """A video's name without the folder of a recording."""
    return name.rpartition("/")[2]


def _by_name(videos: Sequence[Video], name: Callable[[Video], str]) -> Found:
    """Videos by class and a name of theirs without suffix, which several may share."""
    found: defaultdict[tuple[str, str], list[Video]] = defaultdict(list)
    for video in videos:
        found[video.label, without_suffix(name(video))].append(video)
    return found


def _one_for_each(path: Path, found: Found) -> Members:
    """Return the one video that each line of a list means.

    Raises:
        UserError: a line means none, or one of several, or what another line means.
    """
    missing = ["/".join(pair) for pair, videos in found.items() if not videos]
    if missing:
        raise UserError(
            f"{path} lists {missing[0]} and {len(missing) - 1} more that are not there; a line is"
            " CLASS/VIDEO or CLASS/RECORDING/VIDEO, as the folders are called"
        )
    for (label, name), videos in found.items():
        if len(videos) > 1:
            raise UserError(
                f"{path}: {label}/{name} cannot tell {videos[0].name} from {videos[1].name}; list"
                " them as CLASS/RECORDING/VIDEO, and give videos of one folder different names"
            )
    members = Counter((video.label, video.name) for videos in found.values() for video in videos)
    (label, name), times = members.most_common(1)[0] if members else (("", ""), 0)
    if times > 1:
        raise UserError(f"{path} lists {label}/{name} twice; remove one of the lines")
    return tuple(members)


def _refuse_shared_classes(splits: Mapping[SplitName, Members]) -> None:
    """Refuse classes in two splits: a class that is trained on is not novel in a test."""
    times = Counter(label for members in splits.values() for label in {one for one, _ in members})
    twice = sorted(label for label, count in times.items() if count > 1)
    if twice:
        raise UserError(
            f"class {twice[0]!r} is in two splits, {len(twice)} such in all; splits of a few-shot"
            " dataset share no class: leave it in one list"
        )
