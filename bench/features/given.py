"""Features computed elsewhere, in place of those of a backbone."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.features.files import CARD, SUFFIXES, Array, card_of, opened
from bench.method import FeatureShape
from bench.runs.schema import FeatureIdentity
from episodes.decoding.media import VIDEO_SUFFIXES
from episodes.errors import UserError, counted, note
from episodes.split import Video, VideoFile, composed

NAMED = 5
"""Number of missing videos that a message names."""


class GivenFeatures:
    """Features of videos by name, from a folder or a table.

    Raises:
        UserError: there are no features, or they cannot be read.
    """

    clips_per_second = np.nan
    """The speed at which they were computed is unknown."""

    def __init__(self, place: Path) -> None:
        """Find the names; the features in a folder are read when they are needed."""
        self.place = place
        self._read_one, names = opened(place)
        if not names:
            raise UserError(
                f"{place} holds no features: CLASS/VIDEO with {', '.join(SUFFIXES)}, or a table"
            )
        alike: dict[str, list[str]] = {}
        for name in names:
            alike.setdefault(_bare(name), []).append(name)
        self._given_as: dict[str, str] = {}
        """Name, and name without suffix where no other video shares it -> name in the files."""
        for bare, same in alike.items():
            whole = {composed(name): name for name in same}
            if len(same) > 1 and (bare in whole or len(whole) < len(same)):
                raise UserError(f"{place} holds features of {bare} twice; remove one of them")
            self._given_as |= whole if len(same) > 1 else whole | {bare: same[0]}
        self.card = card_of(place)
        self._names: dict[str, str] = {}
        """Hash of a video's features -> name under which they are read."""
        self.shape = FeatureShape(*self._array(names[0]).shape)

    def files(self, videos: Sequence[Video]) -> list[VideoFile]:
        """Read and hash the features of videos, in the given order.

        Raises:
            UserError: features are missing, are not finite numbers, or differ in shape.
        """
        wanted = [f"{video.label}/{video.name}" for video in videos]
        if missing := [name for name in wanted if not self._own(name)]:
            raise UserError(
                f"{self.place} lacks the features of {len(missing):,} of {len(wanted):,} videos:"
                f" {', '.join(missing[:NAMED])}; `fvbench bank export` lists all names of a bank"
            )
        files: list[VideoFile] = []
        video_of: dict[str, str] = {}
        for video, name in zip(videos, wanted, strict=True):
            own = self._own(name)
            if (other := video_of.setdefault(own, name)) != name:
                raise UserError(
                    f"{self.place} holds one set of features, {own}, for the videos {other} and"
                    f" {name}; name the features of each with the ending of the video"
                )
            array = self._array(own)
            digest = hashlib.sha256(f"{name}\n{array.shape}\n".encode() + array.tobytes())
            self._names[digest.hexdigest()] = own
            files.append(VideoFile(video, self.place, digest.hexdigest()))
        return files

    def say_extra(self, videos: Sequence[Video]) -> None:
        """Report the number of features of other videos, whose names may be mistakes."""
        used = {self._own(f"{video.label}/{video.name}") for video in videos}
        if extra := len(set(self._given_as.values()) - used):
            note(f"{self.place} also holds features of {counted(extra, 'other video')}, not used")

    def read(self, videos: Sequence[str]) -> Array:
        """Return float32 (videos, C, T, H, W) by the hashes from `files`."""
        return np.stack([self._array(self._names[video]) for video in videos])

    def identity(self) -> FeatureIdentity:
        """Identify the features in a run, together with their hashes, which replace the videos'."""
        return FeatureIdentity(
            backbone=self.card.backbone,
            weights_sha256=self.card.weights_sha256,
            given=True,
            shape=tuple(self.shape),
            dtype="float32",
        )

    def _own(self, video: str) -> str:
        """Return the name under which a video's features are given; empty if they are not."""
        return self._given_as.get(video) or self._given_as.get(_bare(video), "")

    def _array(self, name: str) -> Array:
        """Read one video's features as a map (C, T, H, W)."""
        array = self._read_one(name)
        numbers = array.size and np.issubdtype(array.dtype, np.floating)
        if array.ndim not in {1, 2, 4} or not numbers:
            raise UserError(
                f"{self.place}: the features of {name} are {array.dtype} of shape {array.shape};"
                " they should be floating-point numbers (C,), (T, C) or (C, T, H, W), at least one"
            )
        if array.ndim == 1:
            array = array[:, None, None, None]
        elif array.ndim == 2:
            array = array.T[:, :, None, None]
        array = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(array).all():
            raise UserError(f"{self.place}: the features of {name} are not all finite numbers")
        shape = getattr(self, "shape", array.shape)
        if array.shape != shape:
            raise UserError(
                f"{self.place}: the features of {name} have shape {array.shape} as (C, T, H, W),"
                f" others have {tuple(shape)}; all videos need the same shape"
            )
        return array


def check_trainable(given: GivenFeatures, frozen: bool) -> None:
    """Refuse features on which a method cannot be trained.

    Raises:
        UserError: the backbone is not frozen, or the origin of the features is unknown.
    """
    place = given.place
    if not frozen:
        raise UserError(
            f"--features {place} leaves no backbone to train; add --freeze-backbone, or leave"
            " --features out"
        )
    if not given.card.weights_sha256:
        card = (place if place.is_dir() else place.parent) / CARD
        raise UserError(
            f"nothing says what made the features in {place}, and trained weights are only used on"
            f' features of the same backbone; write {card}: {{"backbone": "NAME",'
            ' "weights_sha256": "SHA256 of its weights"}'
        )


def _bare(name: str) -> str:
    """Return a name without the suffix of a video file."""
    name = composed(name)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name
