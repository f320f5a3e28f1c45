"""Finding the videos of a list on a user's disk, whatever the layout.

Copies differ in their folders (by class, by split, flat), in the spelling of classes, in suffixes,
and in whether frames are extracted. The name of a video is the same in nearly all of them.
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
from episodes.split import Video, composed

Names = Callable[[str], Iterable[str]]
"""From a video's name to the names under which copies of the dataset keep it, best first."""
Identify = Callable[[str], tuple[str, str] | None]
"""From a path to the class and the name of the video that lies there; None if the video is not of
the dataset."""


WINDOWED = re.compile(r"(.{11})_(\d+)_(\d+)")
"""A video's name in Kinetics: the id, and the seconds where its window begins and ends."""


def by_folder(path: str) -> tuple[str, str]:
    """Most copies keep a video under its own name in the folder of its class.

    >>> by_folder("UCF-101/Archery/v_Archery_g01_c01.avi")
    ('Archery', 'v_Archery_g01_c01')
    """
    return os.path.basename(os.path.dirname(path)), name_of(path)  # noqa: PTH119, PTH120


class Index:
    """All videos of a dataset below a folder, by name."""

    def __init__(self, root: Path, identify: Identify = by_folder) -> None:
        """Walk the folder."""
        self.root = root
        self._by_name: defaultdict[str, list[_Found]] = defaultdict(list)
        for path in videos_below(root):
            if video := identify(composed(path)):
                place = _Found(path, *video)
                self._by_name[place.name.casefold()].append(place)
                if match := WINDOWED.fullmatch(place.name):
                    self._by_name[f"{match[1]}_".casefold()].append(place)

    def find(self, video: Video, names: Names, folders: Iterable[str] = ()) -> list[Path]:
        """Return where a video lies, best place first; empty if it is not there.

        The exact spelling, the folder of the right class, and files rather than folders of frames
        take precedence, in this order. ``folders`` are further names of the folder of its class.
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


class _Found(NamedTuple):
    """A path, and the video that lies there."""

    path: str
    label: str
    name: str


def _rank(place: _Found, name: str, labels: set[str]) -> tuple[bool, bool, bool, str]:
    return (
        place.name != name,
        folded(place.label) not in labels,
        not is_video_file(place.path),
        place.path,
    )


def name_of(path: str) -> str:
    """Return a video's name: the path without folders and suffix."""
    return without_suffix(os.path.basename(path))  # noqa: PTH119


def as_listed(name: str) -> Iterable[str]:
    """Files have the names of the list."""
    return (name,)


def of_kinetics(name: str) -> Iterable[str]:
    """Kinetics: with the time window, with its numbers unpadded, or the bare id.

    A bare id in a list, as in ``-514AQUrSow_`` for `Index`, may have any window.

    >>> list(of_kinetics("-514AQUrSow_000058_000068"))
    ['-514AQUrSow_000058_000068', '-514AQUrSow_58_68', '-514AQUrSow']
    >>> list(of_kinetics("-514AQUrSow"))
    ['-514AQUrSow', '-514AQUrSow_']
    """
    match = WINDOWED.fullmatch(name)
    if not match:
        return (name, f"{name}_")
    return (name, f"{match[1]}_{int(match[2])}_{int(match[3])}", match[1])
