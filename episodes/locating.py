"""Finding the videos of a list on a user's disk, whatever the layout.

Copies differ in folders (by class, by split, flat), in how they spell classes, in suffixes, and in
whether frames are extracted. A video's own name is the same in nearly all of them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from episodes.facts import folded
from episodes.lists import without_suffix
from episodes.media import is_video_file, videos_below
from episodes.split import Video

Names = Callable[[str], Iterable[str]]
"""From a video's name to the names under which copies of the dataset keep it, best first."""


class Index:
    """All videos below a folder, by name.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        """Walk the folder."""
        self.root = root
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in videos_below(root):
            self._by_name[name_of(path).casefold()].append(path)

    def find(self, video: Video, names: Names, folders: Iterable[str] = ()) -> list[Path]:
        """Return where a video lies, best place first; empty if it is not there.

        Args:
            video: of a list.
            names: under which names to look, see `Names`.
            folders: further names of its class's folder.

        A file is preferred to a folder of frames, the right spelling and the folder of the right
        class to others.
        """
        for name in names(video.name):
            places = self._by_name.get(name.casefold(), [])
            if len(places) > 1:
                wanted = {folded(label) for label in (video.label, *folders) if label}
                places = sorted(places, key=lambda path: _rank(path, name, wanted))
            if places:
                return [Path(path) for path in places]
        return []

    def members(self) -> dict[str, set[str]]:
        """Return the names of the videos in each folder, by the folder's `folded` name."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for places in self._by_name.values():
            for path in places:
                found[folded(_folder_of(path))].add(name_of(path))
        return found


def _rank(path: str, name: str, folders: set[str]) -> tuple[bool, bool, bool, str]:
    return (
        name_of(path) != name,
        folded(_folder_of(path)) not in folders,
        not is_video_file(path),
        path,
    )


def _folder_of(path: str) -> str:
    """The name of the folder that a video lies in."""
    return os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120 - a million of them


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
