"""Finding the videos of a list on a user's disk, whatever the layout.

Copies differ in their folders (by class, by split, flat), in the spelling of classes, in suffixes,
and in whether frames are extracted. A video's own name is the same in nearly all of them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from episodes.decoding.media import is_video_file, videos_below
from episodes.disk.facts import folded
from episodes.disk.lists import without_suffix
from episodes.split import Video

Names = Callable[[str], Iterable[str]]
"""From a video's name to the names under which copies of the dataset keep it, best first."""
Identify = Callable[[str], tuple[str, str] | None]
"""From a path to the class and the name of the video that lies there; None if it is not one of the
dataset's."""


def by_folder(path: str) -> tuple[str, str]:
    """Most copies keep a video in its class's folder, under its own name.

    >>> by_folder("UCF-101/Archery/v_Archery_g01_c01.avi")
    ('Archery', 'v_Archery_g01_c01')
    """
    return os.path.basename(os.path.dirname(path)), name_of(path)  # noqa: PTH119, PTH120


class Index:
    """All videos of a dataset below a folder, by name.

    Args:
        root: the folder.
        identify: says which video a path is.
    """

    def __init__(self, root: Path, identify: Identify = by_folder) -> None:
        """Walk the folder."""
        self.root = root
        self._by_name: defaultdict[str, list[_Place]] = defaultdict(list)
        for path in videos_below(root):
            if found := identify(path):
                self._by_name[found[1].casefold()].append(_Place(path, *found))

    def find(self, video: Video, names: Names, folders: Iterable[str] = ()) -> list[Path]:
        """Return where a video lies, best place first; empty if it is not there.

        Args:
            video: of a list.
            names: under which names to look, see `Names`.
            folders: further names of its class's folder.

        Files take precedence over folders of frames, the exact spelling and the folder of the
        right class over others.
        """
        for name in names(video.name):
            places = self._by_name.get(name.casefold(), [])
            if len(places) > 1:
                wanted = {folded(label) for label in (video.label, *folders) if label}
                places = sorted(places, key=lambda place: _rank(place, name, wanted))
            if places:
                return [Path(place.path) for place in places]
        return []

    def members(self) -> dict[str, set[str]]:
        """Return the names of the videos found of each class, as the copy spells the class."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for places in self._by_name.values():
            for place in places:
                found[place.label].add(place.name)
        return found


class _Place(NamedTuple):
    """A path and what lies there."""

    path: str
    label: str
    name: str


def _rank(place: _Place, name: str, labels: set[str]) -> tuple[bool, bool, bool, str]:
    return (
        place.name != name,
        folded(place.label) not in labels,
        not is_video_file(place.path),
        place.path,
    )


def name_of(path: str) -> str:
    """A video's name: without folders and the suffix of its file."""
    return without_suffix(os.path.basename(path))  # noqa: PTH119


def as_listed(name: str) -> Iterable[str]:
    """Files are called as in the list."""
    return (name,)


def of_kinetics(name: str) -> Iterable[str]:
    """Kinetics: with the time window, with its numbers not filled up, or the bare id.

    >>> list(of_kinetics("-514AQUrSow_000058_000068"))
    ['-514AQUrSow_000058_000068', '-514AQUrSow_58_68', '-514AQUrSow']
    """
    match = re.fullmatch(r"(.{11})_(\d+)_(\d+)", name)
    if not match:
        return (name,)
    return (name, f"{match[1]}_{int(match[2])}_{int(match[3])}", match[1])
