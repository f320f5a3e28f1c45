"""The rendered dataset as files: made on demand, kept in the cache, checked by hash."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from itertools import starmap
from pathlib import Path

from episodes.cache import cache_folder, hold
from episodes.decoding.media import content_sha256
from episodes.decoding.memory import write_entry
from episodes.errors import UserError
from episodes.rendered import encoding, raster, scene
from episodes.rendered.grammar import classes
from episodes.split import Progress, Split, SplitName, Video, VideoFile

GROUPS = {"train": 30, "val": 20, "test": 20}
CLIPS_PER_GROUP = 2
"""So a training class has 60 videos, and a validation or test class 40.

With two clips in a group, a query rarely (1 in 39) meets its own scene in the support set of its
class.
"""
SOURCES = {19: encoding.WEB, 20: encoding.ARCHIVE}
"""Groups with another container, codec, frame rate and length, in every class."""
MANIFEST = "manifest.jsonl"
ALONE = 40
"""Up to this number of videos, starting other processes takes as long as rendering them here."""


class Rendered:
    """100 classes of motion in partner pairs, drawn by `episodes.rendered`."""

    name = "rendered"
    directional = True
    description = "shapes in motion, rendered here: 64 train, 12 val, 24 test classes"

    @cache  # noqa: B019 - there is one instance for the life of the process
    def split(self, name: SplitName) -> Split:
        """Return the list of a split; nothing is rendered for it."""
        members = classes()[name]
        videos = tuple(
            Video(label, f"g{group:02}", f"{label}_g{group:02}_c{clip:02}")
            for label in members
            for group in range(1, GROUPS[name] + 1)
            for clip in range(1, CLIPS_PER_GROUP + 1)
        )
        partners = {motion.name: motion.partner for motion in members.values()}
        return Split(self.name, name, videos, partners)

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Progress
    ) -> list[VideoFile]:
        """Return the files of the videos; render those that are missing or were changed."""
        folder = self._folder(split)
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder.parent)
        known = dict(_intact(folder, set(videos)))
        missing = [(split, video, folder) for video in videos if video not in known]
        for done, (video, sha) in enumerate(_render_all(missing), start=1):
            known[video] = sha
            progress(done, len(missing))
        return [VideoFile(video, _path(folder, video), known[video]) for video in videos]

    def state(self) -> str:
        """Say how many videos are rendered already."""
        present = {split: sum(1 for _ in self._folder(split).glob("*/*_g*")) for split in GROUPS}
        counts = ", ".join(
            f"{present[split]} of {len(self.split(split).videos)} {split}" for split in GROUPS
        )
        return f"ready: rendered when needed ({counts} videos in the cache)"

    def _folder(self, split: str) -> Path:
        return cache_folder() / "datasets" / f"{self.name}-{scene.VERSION}" / split


DATASET = Rendered()


def _path(folder: Path, video: Video) -> Path:
    source = SOURCES.get(int(video.group[1:]), encoding.PHONE)
    return folder / video.label / f"{video.name}.{source.suffix}"


def _intact(folder: Path, wanted: Collection[Video]) -> Iterator[tuple[Video, str]]:
    """Yield the wanted videos that are there and have not changed, with their hashes."""
    for label in {video.label for video in wanted}:
        manifest = folder / label / MANIFEST
        for line in manifest.read_bytes().splitlines() if manifest.exists() else ():
            # A line that is damaged or cut short is skipped, and its video drawn again.
            with suppress(ValueError, LookupError, TypeError, OSError, RecursionError):
                entry = json.loads(line)
                video = Video(label, entry["group"], entry["name"])
                path = folder / label / entry["file"]
                if video in wanted and path.is_file() and content_sha256(path) == entry["sha256"]:
                    yield video, entry["sha256"]


def _render_all(tasks: Sequence[tuple[SplitName, Video, Path]]) -> Iterator[tuple[Video, str]]:
    """Render, many in as many processes as there are cores; yield each video when it is done."""
    if len(tasks) <= ALONE:
        yield from starmap(_render, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(os.cpu_count() or 1, len(tasks)), mp_context=context, initializer=_follow_parent
    ) as pool:
        try:
            for future in as_completed([pool.submit(_render, *task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process that renders videos was killed, possibly for lack of memory; run the"
                " command again: finished videos are kept"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, which tells workers to stop; but end when the parent is killed.

    A worker of a pool would otherwise wait for its next task for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _render(split: SplitName, video: Video, folder: Path) -> tuple[Video, str]:
    """Render one video to its file, then note it in the manifest of its class."""
    group = int(video.group[1:])
    clip = int(video.name.rsplit("_c", 1)[1])
    source = SOURCES.get(group, encoding.PHONE)
    path = _path(folder, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = scene.stage(split, classes()[split][video.label], group, clip, source.frames)
    encoding.encode(path, raster.draw(staging), source)
    sha = content_sha256(path)
    names = {"name": video.name, "group": video.group, "file": path.name}
    write_entry(path.parent / MANIFEST, {**names, "sha256": sha})
    return video, sha
