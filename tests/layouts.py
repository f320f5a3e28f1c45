"""Small datasets with real class names, naming patterns and folders, on generated videos.

The published lists may not be shipped. What the program knows of them are hashes; here those
of small made-up lists take their place.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from episodes.datasets import dataset
from episodes.datasets.published import Published
from episodes.disk import facts
from episodes.disk.facts import names_sha256
from episodes.disk.registration import ENVIRONMENT_VARIABLE
from episodes.split import SPLIT_NAMES, Split, SplitName
from tests.conftest import make_video

Lists = Mapping[SplitName, Mapping[str, tuple[str, ...]]]
"""Videos by split and class."""
SUFFIX = {
    "ucf101": ".avi",
    "hmdb51": ".avi",
    "ssv2-all": ".webm",
    "ssv2-part": ".webm",
    "kinetics-100": ".mp4",
}
CODEC = {".avi": "mpeg4", ".webm": "libvpx-vp9", ".mp4": "libx264"}


CLASSES: Mapping[str, Mapping[SplitName, tuple[str, ...]]] = {
    "ucf101": {
        "train": ("ApplyEyeMakeup", "Archery", "YoYo"),
        "val": ("ApplyLipstick", "HandstandPushups"),
        "test": ("BlowingCandles", "CleanAndJerk", "Punch", "StillRings", "Surfing", "TennisSwing"),
    },
    "hmdb51": {
        "train": ("brush_hair", "sword", "sword_exercise"),
        "val": ("cartwheel", "hit"),
        "test": ("fencing", "kick", "kick_ball", "pour", "sit"),
    },
    "ssv2-all": {
        "train": ("Bending something until it breaks", "Folding something"),
        "val": ("Holding something over something", "Pushing something so it spins"),
        "test": (
            "Approaching something with your camera",
            "Digging something out of something",
            "Dropping something next to something",
            "Dropping something onto something",
            "Failing to put something into something because something does not fit",
        ),
    },
    "ssv2-part": {
        "train": ("Pouring something into something", "Uncovering something"),
        "val": ("Moving something away from the camera", "Pulling something out of something"),
        "test": (
            "Twisting (wringing) something wet until water comes out",
            "Poking a hole into something soft",
            "Letting something roll up a slanted surface, so it rolls back down",
            "Squeezing something",
            "Opening something",
        ),
    },
    "kinetics-100": {
        "train": ("air drumming", "dying hair", "shot put"),
        "val": ("baking cookies", "crossing river"),
        "test": ("blasting sand", "hurling (sport)", "playing drums", "side kick", "unboxing"),
    },
}
FILMS = (
    *("April_09", "(Rad)Schlag_die_Bank!", "#20_Rhythm", "A&B;_[2]~+@"),
    *("1899_Hamlet__the_Fencing_Scene", "Best_Of_-_it's_a_hit_kick"),
)


def _videos(name: str, split: SplitName, place: int, label: str) -> list[str]:
    """Names of a class's videos, as the dataset makes them, from its place in the split."""
    if name == "ucf101":
        in_files = label.replace("HandstandPushups", "HandStandPushups")
        return [f"v_{in_files}_g{group:02}_c{clip:02}" for group in range(1, 5) for clip in (1, 2)]
    if name == "hmdb51":
        return [f"{film}_{label}_f_cm_np1_le_med_{n}" for film in FILMS for n in range(2)]
    first = 10 * SPLIT_NAMES.index(split) + place
    if name == "kinetics-100":
        return [
            f"{start}Vt{10 + first}{number}-m_Pd_{10 * number:06}_{10 * number + 10:06}"
            for number, start in enumerate(("-", "_", "a", "Z", "9"))
        ]
    # Of Something-Something: numbers that say nothing.
    of_all = name == "ssv2-all"
    count = 6 + of_all if split == "test" else 5
    return [str(78_687 * of_all + 7 + 13 * (10 * first + number)) for number in range(count)]


LISTS: Mapping[str, Lists] = {
    name: {
        split: {
            label: tuple(_videos(name, split, place, label)) for place, label in enumerate(labels)
        }
        for split, labels in splits.items()
    }
    for name, splits in CLASSES.items()
}


def alias(split: str, label: str) -> str:
    """How the published list of ssv2-all calls a class."""
    return f"{split}{sorted(LISTS['ssv2-all'][split]).index(label)}"  # type: ignore[index]


@contextmanager
def known_lists() -> Iterator[None]:
    """Make the program know the hashes of these lists instead of the published ones."""
    instead = {name: _facts(name) for name in LISTS}
    with pytest.MonkeyPatch.context() as patch:
        for module in ("episodes.disk.facts", "episodes.datasets.published"):
            patch.setattr(f"{module}.facts", instead.__getitem__)
        patch.setattr("episodes.disk.membership.all_facts", lambda: list(instead.values()))
        yield


@cache
def _facts(name: str) -> facts.Facts:
    splits = {
        split: facts.SplitFacts(
            sum(map(len, classes.values())),
            as_split(name, split).sha256,
            {
                label: facts.ClassFacts(
                    len(videos),
                    names_sha256(videos),
                    label,
                    alias(split, label) if name == "ssv2-all" else "",
                    _recordings(name, label, videos),
                )
                for label, videos in classes.items()
            },
        )
        for split, classes in LISTS[name].items()
    }
    return facts.Facts(name, splits)


def _recordings(name: str, label: str, videos: tuple[str, ...]) -> tuple[int, ...]:
    """Videos of each recording; UCF101 has two in each of four here, HMDB51 two of six films."""
    found = sorted(published(name).recording(label, video) for video in videos)
    sizes = tuple(found.count(one) for one in sorted(set(found)))
    return sizes if max(sizes) > 1 else ()


def as_split(name: str, split: SplitName) -> Split:
    return published(name).as_split(split, tuple((label, one) for label, one in pairs(name, split)))


def published(name: str) -> Published:
    found = dataset(name)
    assert isinstance(found, Published)
    return found


def pairs(name: str, split: SplitName) -> list[tuple[str, str]]:
    """(class, video) in a list's order."""
    return [(label, one) for label, videos in LISTS[name][split].items() for one in videos]


def write_lists(folder: Path, name: str, line: str = "{label}/{video}") -> Path:
    """Write a list for each split, in a format."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLIT_NAMES:
        lines = [
            line.format(
                label=label,
                video=video,
                split=split,
                index=sorted(LISTS[name][split]).index(label),
                alias=alias(split, label) if name == "ssv2-all" else label,
            )
            for label, video in pairs(name, split)
        ]
        (folder / f"{split}list03.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@cache
def small_video(suffix: str) -> bytes:
    """A file of sixteen frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        return make_video(path, frames=16, codec=CODEC[suffix]).read_bytes()


class Tree:
    """A dataset on disk: every video a hard link to one small file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources = root.parent / "sources"
        self._sources.mkdir(parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True)

    def add(self, place: str, suffix: str) -> Path:
        """Put a video at a place below the root."""
        source = self._sources / f"source{suffix}"
        if not source.exists():
            source.write_bytes(small_video(suffix))
        path = self.root / f"{place}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError:  # a file can have about 65,000 names
            shutil.copy(source, path)
            path.replace(source)
            os.link(source, path)
        return path

    def add_frames(self, place: str, frames: Iterable[str]) -> Path:
        """Put a folder of frames at a place below the root."""
        source = self._sources / "frame.jpg"
        if not source.exists():
            Image.new("RGB", (40, 30), (90, 120, 40)).save(source)
        folder = self.root / place
        folder.mkdir(parents=True)
        for name in frames:
            os.link(source, folder / name)
        return folder

    def fill(self, name: str, place: str = "{label}/{video}") -> "Tree":
        """Put all videos of a dataset where a pattern says."""
        for split in SPLIT_NAMES:
            for label, video in pairs(name, split):
                self.add(place.format(label=label, video=video, split=split), SUFFIX[name])
        return self


@contextmanager
def own_registrations(folder: Path) -> Iterator[None]:
    """Keep registrations of a test apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, str(folder))
        yield


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path
