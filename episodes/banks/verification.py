"""Checks a dataset on disk against its lists, and says what missing videos do to its banks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from episodes.banks.bank import open_bank, untouched
from episodes.banks.recipe import read_recipe, recipe_names
from episodes.datasets.folder import Folder
from episodes.datasets.published import Published
from episodes.decoding.inspection import inspections
from episodes.decoding.media import content_sha256, is_empty, why_not_opened
from episodes.decoding.memory import remembered
from episodes.errors import UserError
from episodes.split import Progress, SplitName, Video

SHORT = 16
"""Frames in the longest usual clip: a video with fewer repeats some."""
FATAL = ("missing", "empty", "damaged")
KINDS = (*FATAL, "short", "copy", "several", "odd")
"""What may be wrong with a video; the first three make it unusable. ``copy``: the same content as
another; ``several``: more than one file has its name; ``odd``: `episodes.decoding.inspection`."""

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Announces a stage of the work by name, and takes reports of its progress."""


@dataclass(frozen=True)
class Trouble:
    """Something wrong with one video."""

    split: SplitName
    label: str
    name: str
    kind: str
    words: str


@dataclass(frozen=True)
class BankState:
    """What is left of a bank."""

    bank: str
    episodes: int
    whole: int
    """Episodes without unusable videos."""


@dataclass(frozen=True)
class Verification:
    """The result of checking a dataset."""

    dataset: str
    root: str
    listed: dict[SplitName, int]
    """Videos in each split whose list is known."""
    unknown: dict[SplitName, str]
    """Split whose list is not known -> why."""
    incomplete: bool
    """Whether lists are unknown because videos are missing: they follow from a complete folder."""
    troubles: list[Trouble]
    banks: list[BankState]
    decoded: bool
    """Whether videos were opened, and not only located."""

    @property
    def usable(self) -> bool:
        """Whether every video can be used."""
        return not self.incomplete and not any(trouble.kind in FATAL for trouble in self.troubles)

    def count(self, split: SplitName, kind: str) -> int:
        """Return the number of troubles of a kind in a split."""
        return sum((trouble.split, trouble.kind) == (split, kind) for trouble in self.troubles)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self) | {"usable": self.usable}


@dataclass(frozen=True)
class _Listed:
    split: SplitName
    video: Video
    paths: Sequence[Path]
    """Where it lies, best place first."""


def verify(source: Published | Folder, fast: bool, stage: Stage) -> Verification:
    """Check every listed video.

    With ``fast``, files are located, and none is opened.

    Raises:
        UserError: the dataset is not registered, or none of its lists is known.
    """
    places, unknown = _places(source)
    troubles = [trouble for place in places for trouble in _at_a_glance(source.root, place)]
    if not fast:
        gone = _unusable(troubles)
        there = [place for place in places if (place.video.label, place.video.name) not in gone]
        troubles += _looked_into(source.root, there, stage)
    return Verification(
        source.name,
        str(source.root),
        dict(Counter(place.split for place in places)),
        unknown,
        bool(unknown) and isinstance(source, Published) and source.derivable,
        sorted(
            troubles, key=lambda each: (KINDS.index(each.kind), each.split, each.label, each.name)
        ),
        list(_banks(source.name, _unusable(troubles))),
        not fast,
    )


def _unusable(troubles: Sequence[Trouble]) -> set[tuple[str, str]]:
    """Return the class and name of videos that cannot be used; no class is in two splits."""
    return {(trouble.label, trouble.name) for trouble in troubles if trouble.kind in FATAL}


def _places(source: Published | Folder) -> tuple[list[_Listed], dict[SplitName, str]]:
    splits: Iterable[SplitName]
    find: Callable[[Video], Sequence[Path]]
    if isinstance(source, Published):
        splits, find = source.facts.splits, partial(source.places, source.index(source.root))
    else:
        splits, find = source.lists or ("test",), source.places
    places: list[_Listed] = []
    unknown: dict[SplitName, str] = {}
    for split in splits:
        try:
            videos = source.split(split).videos
        except UserError as error:
            unknown[split] = str(error)
            continue
        places += [_Listed(split, video, find(video)) for video in videos]
    if not places:
        raise UserError("\n".join(unknown.values()))
    return places, unknown


def _at_a_glance(root: Path, place: _Listed) -> Iterator[Trouble]:
    """Find what is visible without opening a file."""
    if not place.paths:
        yield _trouble(place, "missing", "not found")
        return
    first, *others = place.paths
    if why := why_not_opened(first, root):
        yield _trouble(place, "damaged", f"{first}: {why}")
    elif is_empty(first):
        yield _trouble(place, "empty", f"{first} has 0 bytes")
    if others:
        yield _trouble(place, "several", f"{first} is used, {others[0]} is not")


def _looked_into(root: Path, places: Sequence[_Listed], stage: Stage) -> Iterator[Trouble]:
    """Find what is visible only by opening files."""
    paths = list(dict.fromkeys(place.paths[0] for place in places))
    with stage("open videos") as progress:
        inspected = inspections(root, paths, progress)
    sound = [path for path in paths if not inspected[path].error]
    with stage("hash videos") as progress:
        hashes = remembered("sha256", root, sound, content_sha256, progress)
    sha256 = dict(zip(sound, hashes, strict=True))
    first: dict[str, _Listed] = {}
    for place in places:
        path = place.paths[0]
        found = inspected[path]
        if found.error:
            yield _trouble(place, "damaged", found.error)
            continue
        if found.frames < SHORT:
            yield _trouble(place, "short", f"{found.frames} frames")
        if found.remark:
            yield _trouble(place, "odd", found.remark)
        other = first.setdefault(sha256[path], place)
        if other is not place:
            same = f"same as {other.video.label}/{other.video.name} ({other.split})"
            yield _trouble(place, "copy", same)


def _trouble(place: _Listed, kind: str, words: str) -> Trouble:
    return Trouble(place.split, place.video.label, place.video.name, kind, words)


def _banks(dataset: str, gone: set[tuple[str, str]]) -> Iterator[BankState]:
    """Yield what is left of each committed bank of the dataset, if its list is known."""
    for name in recipe_names():
        if read_recipe(name).dataset != dataset:
            continue
        try:
            bank = open_bank(name)
        except UserError:
            continue  # `bank verify` says why
        missing = {video for video in bank.split.videos if (video.label, video.name) in gone}
        yield BankState(name, len(bank.episodes), int(untouched(bank, missing).sum()))


def by_class(troubles: Sequence[Trouble]) -> dict[tuple[SplitName, str], int]:
    """Return the number of unusable videos by split and class, the largest first."""
    counts = Counter(
        (trouble.split, trouble.label) for trouble in troubles if trouble.kind in FATAL
    )
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
