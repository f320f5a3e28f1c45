"""The feature store: the features of each unique video, keyed by all that determines them."""

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.method import FeatureShape
from episodes.atomic import replacing, write_text
from episodes.cache import hold
from episodes.errors import UserError, warn
from episodes.schema import Model, parsed, read_json

Features = NDArray[np.float32]


class ShardIndex(Model):
    """``*.shard.json``: the videos of a file of features, which is written before it."""

    store: str | None = None
    """Key of the store; older shards do not say."""
    videos: list[str]
    """Their keys, in the order of the features."""
    seconds: float
    """Duration of embedding them, without decoding."""
    sha256: str
    """Hash of the videos, the seconds and the features."""


@dataclass(frozen=True)
class _Shard:
    """Features of some videos: the path of their index, and its content."""

    path: Path
    index: ShardIndex


class FeatureStore:
    """Features of one identity, in shards that are either complete or absent.

    A shard is a ``.npy`` file of features and a ``.json`` file that names its videos; without the
    latter, which is written last, the shard does not exist. Names are random, so that several
    processes may write at once; a video that two of them embed is stored twice and read once.

    A shard states its store and its hash, which is checked once in a process, before its features
    are used. A damaged or foreign shard is removed with a warning, and its videos count as missing.

    Args:
        root: the folder of all stores.
        identity: everything that determines the value of a feature except the video: backbone,
            weights, preprocessing, frame sampling, decoder, device. Every identity has its own
            store, so nothing stale is ever read.
        shape: shape of one video's features.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any], shape: FeatureShape) -> None:
        """Open the store, creating its folder if necessary."""
        canonical = json.dumps(identity, sort_keys=True)
        self.key = hashlib.sha256(canonical.encode()).hexdigest()
        self.folder = root / self.key[:16]
        self.shape = shape
        self.folder.mkdir(parents=True, exist_ok=True)
        hold(self.folder)
        if not (self.folder / "identity.json").exists():
            write_text(
                self.folder / "identity.json", json.dumps(identity, indent=2, sort_keys=True)
            )
        self._shards: list[_Shard] = []
        self._place: dict[str, tuple[int, int]] = {}
        self._sound: set[int] = set()
        """Shards whose hash was checked."""
        for path in sorted(self.folder.glob("*.shard.json")):
            try:
                index = parsed(ShardIndex, read_json(path))
                if index.store not in (None, self.key):
                    raise ValueError("it is of another store")
                self._add(_Shard(path, index))
            except FileNotFoundError:  # another process removed it
                continue
            except ValueError as error:
                self._remove(path, str(error))

    def missing(self, videos: Iterable[str]) -> list[str]:
        """Return the videos (content hashes) that are not in the store, sorted, once each."""
        wanted = set(videos)
        for number in {self._place[video][0] for video in wanted & self._place.keys()}:
            if not self._is_sound(number):
                shard = self._shards[number]
                self._remove(shard.path, "its features are not those that were written")
                for video in shard.index.videos:
                    if self._place.get(video, (-1, 0))[0] == number:
                        del self._place[video]
        return sorted(wanted - self._place.keys())

    def write(self, videos: Sequence[str], features: Features, seconds: float) -> None:
        """Add a shard.

        Args:
            videos: content hashes.
            features: float32 (videos, C, T, H, W), in the same order.
            seconds: duration of embedding them, without decoding.
        """
        name = uuid.uuid4().hex
        path = self.folder / f"{name}.shard.json"
        with replacing(_features_of(path)) as unfinished:
            np.save(unfinished, np.ascontiguousarray(features))
        index = ShardIndex(
            store=self.key,
            videos=list(videos),
            seconds=seconds,
            sha256=_sha256(path, videos, seconds),
        )
        write_text(path, json.dumps(index.content()))
        self._sound.add(len(self._shards))
        self._add(_Shard(path, index))

    def read(self, videos: Sequence[str]) -> Features:
        """Return float32 (videos, C, T, H, W) in the given order.

        Raises:
            KeyError: a video is not in the store.
            UserError: a shard was damaged after `missing` was asked.
        """
        features = np.empty((len(videos), *self.shape), dtype=np.float32)
        places = np.array([self._place[video] for video in videos]).reshape(-1, 2)
        for number in map(int, np.unique(places[:, 0])):
            if not self._is_sound(number):
                raise UserError(
                    f"{_features_of(self._shards[number].path)} has been damaged; repeat the"
                    " command, which computes it again"
                )
            rows = np.flatnonzero(places[:, 0] == number)
            path = _features_of(self._shards[number].path)
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            features[rows] = mapped[places[rows, 1]]
        return features

    @property
    def clips_per_second(self) -> float:
        """Speed at which the used features were embedded, without decoding; NaN if none are."""
        used = [self._shards[number].index for number in self._sound]
        seconds = sum(index.seconds for index in used)
        return sum(len(index.videos) for index in used) / seconds if seconds else np.nan

    def _add(self, shard: _Shard) -> None:
        """Add a shard's videos to the index."""
        for row, video in enumerate(shard.index.videos):
            self._place.setdefault(video, (len(self._shards), row))
        self._shards.append(shard)

    def _is_sound(self, number: int) -> bool:
        """Whether a shard has the right hash; checked once."""
        shard = self._shards[number]
        if number not in self._sound:
            index = shard.index
            if _sha256(shard.path, index.videos, index.seconds) != index.sha256:
                return False
            if np.load(_features_of(shard.path), mmap_mode="r").shape[1:] != self.shape:
                return False  # numpy would repeat a map of a smaller shape
            self._sound.add(number)
        return True

    def _remove(self, path: Path, reason: str) -> None:
        """Remove a damaged shard, if the file system allows it."""
        warn(f"{path} is damaged ({reason}): the features of its videos are computed again")
        with suppress(OSError):
            path.unlink(missing_ok=True)
            _features_of(path).unlink(missing_ok=True)


class Readable(Protocol):
    """Features of videos on disk."""

    shape: FeatureShape

    @property
    def clips_per_second(self) -> float:
        """Speed at which they were embedded; NaN if unknown."""
        ...

    def read(self, videos: Sequence[str]) -> Features:
        """Return float32 (videos, C, T, H, W)."""
        ...


class StoredFeatures:
    """Features of some videos that stay on disk until a slice of them is read.

    Maps of 2D networks are large, 3.2 MB per video for ``resnet50``, and most methods reduce each
    to a few vectors at once. Every slice is a copy.
    """

    def __init__(self, store: Readable, videos: Sequence[str]) -> None:
        """Read nothing yet; ``videos`` are keys of the store, in order."""
        self._store, self._videos = store, videos
        self.shape = (len(videos), *store.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all of them would take."""
        return np.dtype(np.float32).itemsize * math.prod(self.shape)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._videos)

    def __getitem__(self, part: slice) -> Tensor:
        """Read a slice: float32 (videos, C, T, H, W)."""
        return torch.from_numpy(self._store.read(self._videos[part]))


def _features_of(path: Path) -> Path:
    """The file of a shard's features."""
    return path.with_name(path.name.removesuffix(".shard.json") + ".npy")


def _sha256(path: Path, videos: Sequence[str], seconds: float) -> str:
    """Hash of the content of a shard; empty if its file of features is missing."""
    digest = hashlib.sha256(json.dumps([videos, seconds]).encode())
    try:
        with _features_of(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: digest).hexdigest()
    except OSError:
        return ""
