"""A published dataset on a user's disk."""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from episodes.decoding.inspection import known_inspections
from episodes.decoding.media import is_empty, why_not_opened
from episodes.decoding.memory import hashed_files
from episodes.disk.facts import Facts, SplitFacts, facts, folded
from episodes.disk.locating import Identify, Index, Names, as_listed, by_folder
from episodes.disk.membership import derived
from episodes.disk.registration import Members, Registration, registration
from episodes.errors import UserError, note
from episodes.split import Progress, Split, SplitName, Video, VideoFile

SHOWN = 5
_TOLD: set[Path] = set()
"""Folders of which a user knows that they hold some videos more than once."""
NamingRule = Callable[[str, Collection[str]], Iterable[str]]
"""From a class and the names of all videos found to the names of all videos of that class."""


@dataclass(frozen=True)
class Published:
    """A dataset whose splits are published as lists of videos.

    The user says where its videos are, in any of the layouts that `episodes.disk.locating` knows.
    """

    name: str
    description: str
    how_to_get: str
    """Where to get the videos, and what the folder looks like."""
    also_called: tuple[str, ...] = ()
    """Its other names in papers."""
    group: Callable[[str, str], str] | None = None
    """From class and name of a video to its recording; if None, each video is a recording."""
    names: Names = as_listed
    identify: Identify = by_folder
    """Says which video a path is."""
    derivable: bool = False
    """Whether the membership of a split can be derived from a complete folder."""
    naming_rule: NamingRule | None = None
    """How videos are named, if there is a rule: then an incomplete folder will do, too."""
    directional: bool = False
    """Whether mirroring a video may change its class."""
    partners: Mapping[str, str] = field(default_factory=dict)
    """Class -> the class that differs from it only in temporal order, such as its reversal."""
    mine: Registration | None = None
    """Where this user has it, if that is not registered yet."""

    def is_called(self, name: str) -> bool:
        """Whether this is one of its names, however it is spelled."""
        return folded(name) in map(folded, (self.name, *self.also_called))

    @property
    def facts(self) -> Facts:
        """Class names, counts and hashes of the published splits."""
        return facts(self.name)

    def split(self, name: SplitName) -> Split:
        """Return the list of a split.

        Raises:
            UserError: there is no such split, the dataset is not registered, or the members of
                the split are not known.
        """
        self._known(name)
        listed = self.registration().lists.get(name)
        members = listed or self.members_from_folder(name, self.index(self.root))
        return self.as_split(name, members)

    def as_split(self, name: SplitName, members: Members) -> Split:
        """Return members as a split, with their recordings."""
        videos = (Video(label, self.recording(label, video), video) for label, video in members)
        partners = self._partners({label for label, _ in members})
        return Split(self.name, name, tuple(videos), partners)

    def recording(self, label: str, video: str) -> str:
        """Return the recording that a video was cut from."""
        return video if self.group is None else self.group(label, video)

    def outline(self, name: SplitName) -> Split:
        """Return a split made from counts and hashes alone, whose videos have made-up names.

        Episodes drawn from it have the same classes and recordings as those drawn from the list.

        Raises:
            UserError: no such split, or its recordings are not known.
        """
        known = self._known(name)
        videos = []
        for label, class_facts in known.classes.items():
            sizes = class_facts.recordings or (1,) * class_facts.videos
            if not class_facts.recordings and self.group is not None:
                raise UserError(
                    f"the recordings of {self.name}/{name} are not known without videos"
                )
            videos += [
                Video(label, f"{group:05}", f"{group:05} {clip:05}")
                for group, size in enumerate(sizes)
                for clip in range(size)
            ]
        return Split(self.name, name, tuple(videos), self._partners(known.classes), known.sha256)

    def _known(self, name: SplitName) -> SplitFacts:
        if name not in self.facts.splits:
            raise UserError(
                f"{self.name} has no split {name!r}; it has {', '.join(self.facts.splits)}"
            )
        return self.facts.splits[name]

    def _partners(self, labels: Container[str]) -> dict[str, str]:
        return {
            label: partner
            for label, partner in self.partners.items()
            if label in labels and partner in labels
        }

    def index(self, root: Path) -> Index:
        """Find all videos of this dataset below a folder."""
        return Index(root, self.identify)

    def registration(self) -> Registration:
        """Return where this user has the dataset.

        Raises:
            UserError: the user has not registered it.
        """
        mine = self.mine or registration(self.name)
        if mine is None:
            raise UserError(f"dataset {self.name} is {self._absent}")
        return mine

    @property
    def _absent(self) -> str:
        return f"not here yet. {self.how_to_get} Then: {self.command}"

    @property
    def root(self) -> Path:
        """The folder below which this user has the videos.

        Raises:
            UserError: the dataset is not registered, or the folder has gone.
        """
        root = self.registration().root
        if not root.is_dir():
            raise UserError(
                f"{self.name} is registered at {root}, which is not there; if the videos have"
                f" moved, register them again: {self.command}"
            )
        return root

    @property
    def command(self) -> str:
        """The command that registers the dataset."""
        lists = "" if self.derivable else " --lists FOLDER"
        return f"`fvbench data add {self.name} --root PATH{lists}`"

    def members_from_folder(self, split: SplitName, index: Index) -> Members:
        """Derive a split's membership from a folder, which must be complete without a naming rule.

        Raises:
            UserError: the folder is not complete, or membership cannot be derived from a folder.
        """
        if not self.derivable:
            raise UserError(
                f"the list of {self.name}/{split} is not known, and cannot be derived from the"
                f" videos; `fvbench list datasets` says where to find it, then {self.command}"
            )
        members = self.names_by_class(index, self.facts.splits[split].classes)
        return derived(self.facts, split, members, index.root, by_rule=self.naming_rule is not None)

    def names_by_class(
        self, index: Index, labels: Collection[str] | None = None
    ) -> Mapping[str, Collection[str]]:
        """Return the names of the videos of each class: those found, or those of the naming rule.

        The rule names the videos of ``labels``; None for the classes found.
        """
        found = index.members()
        if self.naming_rule is None:
            return found
        names = set().union(*found.values())
        return {label: set(self.naming_rule(label, names)) for label in labels or found}

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Progress
    ) -> list[VideoFile]:
        """Return the files of the videos.

        Raises:
            UserError: some are not there.
        """
        index = self.index(self.root)
        places = [self.places(index, video) for video in videos]
        if missing := [video for video, paths in zip(videos, places, strict=True) if not paths]:
            raise self._missing(split, missing, len(videos))
        twice = next((paths for paths in places if len(paths) > 1), None)
        if twice and index.root not in _TOLD:
            _TOLD.add(index.root)
            note(
                f"some videos are below {index.root} more than once, such as {twice[0]}, which is"
                f" used, and {twice[1]}, which is not (`fvbench data verify {self.name}`: several);"
                f" to choose, register a folder with one of each: {self.command}"
            )
        return hashed_files(videos, [paths[0] for paths in places], index.root, progress)

    def places(self, index: Index, video: Video) -> list[Path]:
        """Return where a video lies, best place first; empty if it is not there."""
        found = self.facts.by_name.get(folded(video.label))
        return index.find(video, self.names, (found[1].alias,) if found else ())

    def unusable(self, videos: Sequence[Video], progress: Progress) -> dict[Video, str]:
        """Return videos that are missing, empty, or found damaged by `data verify`, and why.

        No video is opened, since there may be a hundred thousand, and no progress reported.
        """
        index = self.index(self.root)
        places = {video: found[0] for video in videos if (found := self.places(index, video))}
        reasons = {video: why_not_opened(path, index.root) for video, path in places.items()}
        openable = [places[video] for video, why in reasons.items() if not why]
        inspected = known_inspections(index.root, openable)
        reasons |= {video: "it was not found" for video in videos if video not in places}
        for video, path in places.items():
            if path in inspected:
                reasons[video] = reasons[video] or inspected[path].error
            reasons[video] = reasons[video] or ("it has 0 bytes" if is_empty(path) else "")
        return {video: why for video, why in reasons.items() if why}

    def state(self) -> str:
        """Say whether the dataset is registered, and what to do if it is not."""
        try:
            mine = registration(self.name)
        except UserError as error:
            return str(error)
        if mine is None:
            return self._absent
        if not mine.root.is_dir():
            return f"registered at {mine.root}, which is not there; {self.command}"
        known = ", ".join(split for split in self.facts.splits if split in mine.lists)
        return f"ready: at {mine.root}; lists known: {known or 'none'}; `fvbench data verify`"

    def _missing(self, split: SplitName, missing: Sequence[Video], wanted: int) -> UserError:
        named = ", ".join(f"{video.label}/{video.name}" for video in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        return UserError(
            f"{self.name}/{split}: {len(missing):,} of the {wanted:,} videos that the episodes use"
            f" are not there: {named}{more}; get them, see `fvbench data verify {self.name}`, or"
            " evaluate the episodes without them: `fvbench run --allow-missing`"
        )
