"""The feature store: one entry for each unique video, under everything that made it."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.method import FeatureShape
from episodes.atomic import replacing, write_text

Identity = Mapping[str, Any]
Features = NDArray[np.float32]


@dataclass(frozen=True)
class _Shard:
    data: Path
    videos: tuple[str, ...]
    seconds: float


class FeatureStore:
    """Features of one identity, in shards that are either whole or not there.

    A shard is a ``.npy`` file of features and a ``.json`` file that names its videos and is
    written last: a shard without it does not exist. Names are random, so that several processes
    may write at once; a video that two of them embed is stored twice and read once.

    Args:
        root: the folder of all stores.
        identity: everything that decides a feature's value, but for the video: backbone, weights,
            preprocessing, frame sampling, decoder, device. Another identity is another store, so
            nothing stale is ever read.
        shape: of one video's features.
    """

    def __init__(self, root: Path, identity: Identity, shape: FeatureShape) -> None:
        """Open the store, making its folder if need be."""
        canonical = json.dumps(identity, sort_keys=True)
        self.key = hashlib.sha256(canonical.encode()).hexdigest()
        self.folder = root / self.key[:16]
        self.shape = shape
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "identity.json").exists():
            write_text(
                self.folder / "identity.json", json.dumps(identity, indent=2, sort_keys=True)
            )
        self._shards: list[_Shard] = []
        self._place: dict[str, tuple[int, int]] = {}
        for index in sorted(self.folder.glob("*.shard.json")):
            self._add(index)

    def missing(self, videos: Iterable[str]) -> list[str]:
        """Return which of the videos (content hashes) are not in the store, sorted, once each."""
        return sorted(set(videos) - self._place.keys())

    def write(self, videos: Sequence[str], features: Features, seconds: float) -> None:
        """Add a shard.

        Args:
            videos: content hashes.
            features: float32 (videos, C, T, H, W), in the same order.
            seconds: what embedding them took, decoding not counted.
        """
        name = uuid.uuid4().hex
        with replacing(self.folder / f"{name}.npy") as unfinished:
            np.save(unfinished, np.ascontiguousarray(features))
        content = {"videos": list(videos), "seconds": seconds, "bytes": _size(self.folder, name)}
        index = self.folder / f"{name}.shard.json"
        write_text(index, json.dumps(content))
        self._add(index)

    def read(self, videos: Sequence[str]) -> Features:
        """Return float32 (videos, C, T, H, W) in the order asked for.

        Raises:
            KeyError: a video is not in the store.
        """
        features = np.empty((len(videos), *self.shape), dtype=np.float32)
        places = np.array([self._place[video] for video in videos]).reshape(-1, 2)
        for number in np.unique(places[:, 0]):
            rows = np.flatnonzero(places[:, 0] == number)
            mapped = np.load(self._shards[number].data, mmap_mode="r", allow_pickle=False)
            features[rows] = mapped[places[rows, 1]]
        return features

    @property
    def clips_per_second(self) -> float:
        """How fast the stored features were embedded, decoding not counted; NaN when empty."""
        seconds = sum(shard.seconds for shard in self._shards)
        return sum(len(shard.videos) for shard in self._shards) / seconds if seconds else np.nan

    def _add(self, index: Path) -> None:
        """Make a shard's videos known, unless one of its files is not as it was written."""
        name = index.name.removesuffix(".shard.json")
        try:
            content = json.loads(index.read_text(encoding="utf-8"))
        except ValueError:
            return
        if _size(self.folder, name) != content["bytes"]:
            return
        for row, video in enumerate(content["videos"]):
            self._place.setdefault(video, (len(self._shards), row))
        data = self.folder / f"{name}.npy"
        self._shards.append(_Shard(data, tuple(content["videos"]), content["seconds"]))


def _size(folder: Path, name: str) -> int:
    path = folder / f"{name}.npy"
    return path.stat().st_size if path.exists() else -1
