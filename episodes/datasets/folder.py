"""The user's own videos: a folder of classes, each a folder of videos."""

import os
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from episodes.decoding.inspection import inspections
from episodes.decoding.media import VIDEO_SUFFIXES, check_root, is_video_file, why_not_opened
from episodes.decoding.memory import hashed_files
from episodes.disk.class_folder import videos_of_class, visible
from episodes.disk.registration import Members
from episodes.errors import UserError, counted
from episodes.split import SPLIT_NAMES, Progress, Split, SplitName, Video, VideoFile, composed

FEWEST_CLASSES = 2
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
"""Names of folders of splits, whose subfolders are classes and not recordings."""


class Folder:
    """A tree ``root/class/video``, each video a file or a folder of frames.

    Videos cut from one recording may have a folder of their own: ``root/class/recording/video``.
    A video's name is its path below the class, with the suffix. ``lists`` are the videos of each
    split; if None, all videos in the folder are "test".
    """

    def __init__(
        self, name: str, root: Path, lists: Mapping[SplitName, Members] | None = None
    ) -> None:
        """Name the dataset; nothing is read yet."""
        self.name = name
        self.root = root.resolve()
        self.directional = True
        self.description = f"videos in {self.root}"
        # In the usual order, not in that of the lists' file names.
        self.lists = lists and {split: lists[split] for split in SPLIT_NAMES if split in lists}
        self._spellings: dict[Path, dict[str, str]] = {}

    def split(self, name: SplitName) -> Split:
        """Return the list of a split.

        Raises:
            UserError: the folder is missing, or is not a folder of classes that hold videos.
        """
        if self.lists is None:
            return Split(self.name, name, self.videos if name == "test" else ())
        if name not in self.lists:
            raise UserError(
                f"{self.name} has no {name} classes, only {' and '.join(self.lists)}; lists say"
                f" which classes are which: `fvbench data add {self.name} --root"
                f" {shlex.quote(str(self.root))} --lists FOLDER`"
            )
        members = self.lists[name]
        return Split(self.name, name, tuple(_video(label, member) for label, member in members))

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Progress
    ) -> list[VideoFile]:
        """Return the files of the videos.

        Raises:
            UserError: some are gone, or two have the same content.
        """
        paths = [self._path(video) for video in videos]
        if missing := [path for path in paths if not os.path.lexists(path)]:
            raise UserError(
                f"{missing[0]} is no longer there, {counted(len(missing), 'video')} of"
                f" {self.name} in all; restore them, or register what is there now: `fvbench data"
                " add` again"
            )
        files = hashed_files(videos, paths, self.root, progress)
        _refuse_copies(files)
        return files

    def places(self, video: Video) -> list[Path]:
        """Return where a video lies; empty if it is not there."""
        path = self._path(video)
        return [path] if path.exists() else []

    def unusable(self, videos: Sequence[Video], progress: Progress) -> dict[Video, str]:
        """Return the videos that cannot be read, and why; those never read before are opened."""
        paths = {self._path(video): video for video in videos}
        reasons = {path: why_not_opened(path, self.root) for path in paths}
        there = [path for path, why in reasons.items() if not why]
        for path, found in inspections(self.root, there, progress).items():
            reasons[path] = found.error.removeprefix(f"{path}: ")
        return {paths[path]: why for path, why in reasons.items() if why}

    def state(self) -> str:
        """Say how many classes and videos are there."""
        try:
            videos = self.videos
        except UserError as error:
            return str(error)
        return f"ready: {len({video.label for video in videos})} classes, {len(videos)} videos"

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """All videos in the folder."""
        check_root(self.root)
        folders = [path for path in visible(self.root) if path.is_dir()]
        _refuse_splits(self.root, [path.name for path in folders])
        videos = tuple(
            _video(folder.name, path.relative_to(folder).as_posix())
            for folder in folders
            for path in videos_of_class(folder)
        )
        classes = {video.label for video in videos}
        if len(classes) < FEWEST_CLASSES:
            raise _no_classes(self.root, videos)
        _refuse_empty(self.root, [composed(path.name) for path in folders], classes)
        return videos

    def _path(self, video: Video) -> Path:
        """Return where a video lies, whose names on disk may have another form (`composed`)."""
        path = self.root / video.label / video.name
        if os.path.lexists(path):
            return path
        path = self.root
        for name in (video.label, *video.name.split("/")):
            if path not in self._spellings:
                names: list[str] = []
                with suppress(OSError):  # it is not there, or may not be read
                    names = [inner.name for inner in path.iterdir()]
                self._spellings[path] = {composed(inner): inner for inner in names}
            path /= self._spellings[path].get(name, name)
        return path


def _video(label: str, name: str) -> Video:
    """Make a video; outside the folder of a recording, it is a recording of its own."""
    label, name = composed(label), composed(name)
    return Video(label, name.rpartition("/")[0] or name, name)


def _refuse_splits(root: Path, folders: Sequence[str]) -> None:
    """Refuse folders of splits: they would be taken for classes, and classes for recordings."""
    splits = [name for name in folders if name.casefold() in SPLITS]
    if splits and (len(splits) > 1 or splits == folders):
        raise UserError(
            f"{root} holds the splits {', '.join(splits)}, not classes; name one of them, or a"
            " folder that holds a folder for each class"
        )


def _refuse_empty(root: Path, folders: Sequence[str], classes: Set[str]) -> None:
    """Refuse an empty class, which would be dropped silently."""
    if empty := [name for name in folders if name not in classes]:
        raise UserError(
            f"{root}: no video in the class {empty[0]!r}, {len(empty)} such in all; put videos"
            f" there ({', '.join(VIDEO_SUFFIXES[:5])} and the like, or folders of frames), or"
            " remove the folder"
        )


def _no_classes(root: Path, videos: Sequence[Video]) -> UserError:
    found = f"videos of one class, {videos[0].label!r}" if videos else "no class with videos"
    loose = sum(is_video_file(path.name) for path in root.iterdir())
    beside = f", and {loose} videos outside any class" if loose else ""
    return UserError(
        f"{root} holds {found}{beside}; it needs a folder for each of at least"
        f" {FEWEST_CLASSES} classes, with the class's videos in it: CLASS/VIDEO.mp4"
    )


def _refuse_copies(files: Sequence[VideoFile]) -> None:
    """Refuse duplicate files: a query could find itself in the support set."""
    by_content: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        by_content[file.sha256].append(str(file.path))
    for same in by_content.values():
        if len(same) > 1:
            raise UserError(
                f"{' and '.join(sorted(same)[:3])} have the same content; a video may be there only"
                " once: remove the others"
            )
