"""A split: the classes and videos that episodes are drawn from, a list with one hash."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from episodes.errors import UserError, counted

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""


def composed(name: str) -> str:
    """Return a name in Unicode's form NFC, in which names are compared and hashed.

    Linux writes é as one character, macOS as two; on disk, a file keeps the form that it has.
    """
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True, order=True)
class Video:
    """One video of a split; its names are `composed`.

    Videos of a class that share ``group`` were cut from one recording and show the same actors in
    the same place. If a dataset has no groups, each video is a group of its own.
    """

    label: str
    group: str
    name: str


@dataclass(frozen=True)
class VideoFile:
    """Where a video is, and the hash of the file's bytes."""

    video: Video
    path: Path
    sha256: str


@dataclass(frozen=True)
class Split:
    """The videos of one split of a dataset, in canonical order: by class, group and name.

    Raises:
        UserError: two videos with the same class and name, or no video at all.
    """

    dataset: str
    name: SplitName
    videos: tuple[Video, ...]
    """Sorted whatever the order given: that of a directory cannot matter."""
    partners: Mapping[str, str] = field(default_factory=dict)
    """Class -> the class that differs from it only in temporal order, if any."""
    stands_for: str = ""
    """Hash of the actual list, if the names of videos are made up since only counts are known."""

    def __post_init__(self) -> None:
        """Sort the videos, and refuse lists that are empty or name a video twice."""
        ordered = tuple(sorted(self.videos))
        if not ordered:
            raise UserError(f"split {self.dataset}/{self.name} has no videos; add some to its list")
        names = {(video.label, video.name) for video in ordered}
        if twice := len(ordered) - len(names):
            raise UserError(
                f"split {self.dataset}/{self.name} lists {counted(twice, 'video')} twice;"
                " a video may be listed once: remove the repeated lines"
            )
        object.__setattr__(self, "videos", ordered)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in canonical order."""
        return tuple(sorted({video.label for video in self.videos}))

    @cached_property
    def class_starts(self) -> NDArray[np.int64]:
        """(classes + 1,) index of the first video of each class, then the number of videos."""
        labels = np.array([video.label for video in self.videos])
        return np.append(np.searchsorted(labels, np.array(self.classes)), len(labels))

    @cached_property
    def group_bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First video of each video's group, and the size of the group, each (videos,).

        The videos of a group are adjacent in canonical order.
        """
        keys = [f"{video.label}\n{video.group}" for video in self.videos]
        _, starts, inverse, sizes = np.unique(
            np.array(keys), return_index=True, return_inverse=True, return_counts=True
        )
        return starts[inverse].astype(np.int64), sizes[inverse].astype(np.int64)

    @cached_property
    def partner_indices(self) -> NDArray[np.int64]:
        """(classes,) index of each class's partner, -1 where it has none."""
        place = {label: index for index, label in enumerate(self.classes)}
        return np.array([place.get(self.partners.get(label, ""), -1) for label in self.classes])

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical list: classes, groups, names and partners, in order."""
        if self.stands_for:
            return self.stands_for
        lines = [f"{video.label}\t{video.group}\t{video.name}" for video in self.videos]
        lines += [f"{label}\t{partner}" for label, partner in sorted(self.partners.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
