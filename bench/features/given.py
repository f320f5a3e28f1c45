"""Features computed elsewhere, read from files, and ours written in the same format.

A folder holds one file per video, ``CLASS/VIDEO.npy`` (or ``.npz`` with one array, or
``.safetensors`` with one tensor). A table is one file for all videos: ``.npz`` with ``names`` and
``features``, ``.safetensors`` with one tensor per name, or ``TABLE.npy`` with one name per line in
``TABLE.txt``. A name is ``CLASS/VIDEO`` as in the bank, with or without the suffix of the video.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator
from torch import Tensor

from bench.backbone import InputSpec
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.preprocessing import with_preprocessing
from bench.method import FeatureShape
from bench.pretrained import UNREADABLE, Pretrained, check_unpacked
from bench.runs.schema import FeatureIdentity
from episodes.decoding.media import VIDEO_SUFFIXES
from episodes.errors import UserError, counted, note, shown
from episodes.schema import Model, dump, parsed, read_json
from episodes.split import Video, VideoFile, composed

Array = NDArray[np.float32]
SUFFIXES = (".npy", ".npz", ".safetensors")
CARD = "features.json"
"""File beside the features that says which backbone computed them (`FeatureCard`)."""
NAMES = ".txt"
"""Suffix of the file of names beside a table .npy."""
Read = TypeVar("Read")
NAMED = 5
"""Number of missing videos that a message names."""


def _name(text: str) -> str:
    if "/" in text or shown(text) != text:
        raise ValueError("this is not a name")
    return text


Name = Annotated[str, AfterValidator(_name)]
"""Part of a title, which is also the name of a file."""


class FeatureCard(Model):
    """``features.json``: the origin of features; every field is optional."""

    backbone: Name = "given"
    """Name of the backbone that computed them."""
    weights_sha256: Name = ""
    """Hash of its weights; weights of methods are only used with features of the same hash."""
    pretraining: str = "not stated"
    """Data on which the backbone was pretrained."""
    seen: tuple[str, ...] | None = None
    """Data sets whose labels the backbone has seen."""
    sampling: str | None = None
    """Rule by which the frames of a clip were sampled."""
    resize: int | tuple[int, int] | None = None
    """Size to which pictures were resized, where it was chosen."""
    decoder: str | None = None
    """The preferred decoder of the videos, with its version."""


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
        self._read_one, names = _opened(place)
        if not names:
            raise UserError(
                f"{place} holds no features: CLASS/VIDEO with {', '.join(SUFFIXES)}, or a table"
            )
        alike: dict[str, list[str]] = {}
        for name in names:
            alike.setdefault(_bare(name), []).append(name)
        for bare, same in alike.items():
            if bare in same and len(same) > 1:
                raise UserError(f"{place} holds features of {bare} twice; remove one of them")
        self._given_as = {bare: same[0] for bare, same in alike.items() if len(same) == 1}
        self._given_as |= {name: name for name in names}
        """Name with the suffix of the video, or without where that tells it apart -> as given."""
        self.card = _card(place)
        self._names: dict[str, str] = {}
        """Hash of a video's features -> name under which they are read."""
        self.shape = FeatureShape(*self._array(names[0]).shape)

    def files(self, videos: Sequence[Video]) -> list[VideoFile]:
        """Read and hash the features of videos, in the given order.

        Raises:
            UserError: features are missing, are not finite numbers, or differ in shape.
        """
        wanted = [f"{video.label}/{video.name}" for video in videos]
        found = {name: given for name in wanted if (given := self._own(name)) is not None}
        if missing := [name for name in wanted if name not in found]:
            raise UserError(
                f"{self.place} lacks the features of {len(missing):,} of {len(wanted):,} videos of"
                f" the bank: {', '.join(missing[:NAMED])}; `fvbench bank export` lists all names"
            )
        video_of: dict[str, str] = {}
        for name, own in found.items():
            if (other := video_of.setdefault(own, name)) != name:
                raise UserError(
                    f"{self.place} holds one set of features, {own}, for the videos {other} and"
                    f" {name}; name the features of each with the ending of the video"
                )
        files = []
        for video, name in zip(videos, wanted, strict=True):
            own = found[name]
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

    def as_backbone(self) -> LoadedBackbone:
        """Return a stand-in for the backbone that computed them; it cannot process videos."""
        stand_in = _StandIn()
        stand_in.declare(
            channels=self.shape.channels,
            grid=tuple(self.shape[1:]),
            pretraining=self.card.pretraining,
            seen=self.card.seen,
        )
        vars(stand_in)["name"] = self.card.backbone
        return LoadedBackbone(stand_in, self.card.weights_sha256)

    def _own(self, video: str) -> str | None:
        """Return the name under which a video's features are given, if they are."""
        return self._given_as.get(video) or self._given_as.get(_bare(video))

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


def backbone_or_features(
    backbone: str,
    features: Path | None,
    device: torch.device,
    sampling: str | None = None,
    resize: str | None = None,
    decoder: str | None = None,
) -> tuple[LoadedBackbone, GivenFeatures | None]:
    """Load a backbone, or open given features with a stand-in for their backbone.

    Raises:
        UserError: see `load_backbone`, `with_preprocessing` and `GivenFeatures`.
    """
    if features is None:
        loaded = load_backbone(backbone, device)
        return with_preprocessing(loaded, sampling, resize, decoder), None
    given = GivenFeatures(features)
    return given.as_backbone(), given


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


class _StandIn(Pretrained):
    """Stands in for the backbone of given features."""

    name = "given"
    revision = 1
    source = "not stated"
    pretraining = "not stated"
    input = InputSpec(1, 1, (0.0,) * 3, (1.0,) * 3)
    channels = 1
    grid = (1, 1, 1)

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Refuse: there is nothing to load."""
        raise UserError("given features have no backbone; leave out --backbone")

    def forward(self, clips: Tensor) -> Tensor:
        """Refuse: there is no network."""
        raise UserError("given features cannot be computed for other videos")


def write_features(
    out: Path, names: Sequence[str], read: Callable[[slice], Array], card: FeatureCard
) -> list[Path]:
    """Write features in the format that `GivenFeatures` reads; return the files, the card last.

    The card is written first, so that a repeated command may complete an interrupted one.

    Args:
        out: a folder, created if necessary, or a table that ends in .npz, .safetensors or .npy.
        names: CLASS/VIDEO of each video.
        read: returns float32 (videos, C, T, H, W) for a slice of the videos.
        card: the origin of the features.
    """
    folder = out if out.suffix not in SUFFIXES else out.parent
    written = [out] if folder != out else [folder / f"{name}.npy" for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        below = folder.glob("*") if folder != out else folder.rglob("*")
        there = sorted(one for one in below if one.suffix in SUFFIXES)
        known = _card(folder)
        for field, wanted in card if there else ():
            if (stated := getattr(known, field)) != wanted:
                raise UserError(
                    f"{folder} holds {there[0].relative_to(folder)} of another origin: {field} is"
                    f" {stated} in its {CARD}, not {wanted}; choose another --out, or remove it"
                )
        if folder == out and (tables := [one for one in there if one.parent == folder]):
            raise UserError(
                f"{folder} holds the table {tables[0].name}, which would be read in place of the"
                " files of videos; remove it, or choose another --out"
            )
        (folder / CARD).write_text(dump(card.content()), encoding="utf-8")
        if out.suffix == ".npz":
            np.savez(out, names=np.array(names), features=read(slice(None)))
        elif out.suffix == ".safetensors":
            arrays = dict(zip(names, read(slice(None)), strict=True))
            safetensors.numpy.save_file(arrays, out)
        elif out.suffix == ".npy":
            np.save(out, read(slice(None)))
            out.with_suffix(NAMES).write_text("\n".join(names) + "\n", encoding="utf-8")
        else:
            for place, path in enumerate(written):
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, read(slice(place, place + 1))[0])
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error}; choose another --out") from error
    return [*written, folder / CARD]


def _opened(place: Path) -> tuple[Callable[[str], NDArray[Any]], list[str]]:
    """Return a function that reads features by name, and the names."""
    if place.is_dir():
        tables = [path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES]
        if len(tables) > 1:
            raise UserError(f"{place} holds {len(tables)} tables; name one: --features {tables[0]}")
        if not tables:
            return _of_folder(place)
        place = tables[0]
    if not place.is_file():
        raise UserError(f"--features {place}: there is no such file or folder")
    if place.suffix not in SUFFIXES:
        raise UserError(f"--features {place}: a table of features ends in {', '.join(SUFFIXES)}")
    arrays = _guarded(place, _table)
    return arrays.__getitem__, list(arrays)


def _of_folder(place: Path) -> tuple[Callable[[str], NDArray[Any]], list[str]]:
    paths: dict[str, Path] = {}
    for path in (one for suffix in SUFFIXES for one in sorted(place.glob(f"*/**/*{suffix}"))):
        other = paths.setdefault(path.relative_to(place).with_suffix("").as_posix(), path)
        if other != path:
            raise UserError(f"{place}: {other.name} and {path.name} are the same video; remove one")
    return lambda name: _guarded(paths[name], _single), list(paths)


def _table(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix == ".safetensors":
        return dict(safetensors.numpy.load_file(path))
    if path.suffix == ".npy":
        lines = path.with_suffix(NAMES)
        if not lines.is_file():
            raise ValueError(
                f"a table .npy needs {lines.name} beside it, with one name per line for each row"
            )
        features = np.load(path, mmap_mode="r", allow_pickle=False)
        names = np.array(lines.read_text(encoding="utf-8-sig").splitlines())
    else:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as content:
            names, features = content["names"], content["features"]
    if names.ndim != 1 or len(names) != len(features):
        raise ValueError(f"names are {names.shape}, features {features.shape}")
    if repeated := len(names) - len(set(map(str, names))):
        raise ValueError(f"{repeated} of its names occur twice")
    return dict(zip(map(str, names), features, strict=True))


def _single(path: Path) -> NDArray[Any]:
    arrays: Mapping[str, NDArray[Any]]
    if path.suffix == ".npy":
        arrays = {"": np.load(path, allow_pickle=False)}
    elif path.suffix == ".safetensors":
        arrays = safetensors.numpy.load_file(path)
    else:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
    if len(arrays) != 1:
        raise ValueError(f"it holds {len(arrays)} arrays, not one")
    return next(iter(arrays.values()))


def _guarded(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as features: {error}") from error


def _bare(name: str) -> str:
    """Return a name without the suffix of a video file."""
    name = composed(name)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name


def _card(place: Path) -> FeatureCard:
    path = (place if place.is_dir() else place.parent) / CARD
    if not path.is_file():
        return FeatureCard()
    try:
        return parsed(FeatureCard, read_json(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a card of features: {error}; it has the keys"
            f" {', '.join(FeatureCard.model_fields)}"
        ) from error
