"""From video files to stored features: decode ahead in threads, embed in batches."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.backbones import LoadedBackbone
from bench.clips import load_clips
from bench.device import Stopwatch
from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.cache import cache_folder
from episodes.datasets import Progress, VideoFile
from episodes.decoding import decoder_identity
from episodes.errors import UserError

BATCH = 16
"""Clips embedded at once, always: the last batch is filled up. Kernels may add in another order
for another batch size, and a feature must not depend on which videos were missing."""
SHARD = 128
"""Clips written at once: what a kill can cost."""
ERRORS_SHOWN = 5


def feature_identity(loaded: LoadedBackbone, sampling: str, device: torch.device) -> dict[str, Any]:
    """Return everything that decides a feature's value, but for the video itself."""
    return {
        "backbone": loaded.backbone.name,
        "revision": loaded.backbone.revision,
        "weights_sha256": loaded.weights_sha256,
        "source_sha256": loaded.source_sha256,
        "input": asdict(loaded.backbone.input),
        "preprocessing": "short side by area, centre square; 1",
        "sampling": sampling,
        "decoder": decoder_identity(),
        "device": device.type,
        "dtype": "float32",
    }


def open_store(loaded: LoadedBackbone, sampling: str, device: torch.device) -> FeatureStore:
    """Open the store for a backbone, a sampling rule and a kind of device."""
    shape = FeatureShape(loaded.backbone.channels, *loaded.backbone.grid)
    identity = feature_identity(loaded, sampling, device)
    return FeatureStore(cache_folder() / "features", identity, shape)


def embed_missing(
    store: FeatureStore,
    loaded: LoadedBackbone,
    sampling: str,
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> None:
    """Embed those of the videos that the store does not hold.

    Raises:
        UserError: videos that cannot be decoded, all of them named together (at most five by
            path). What could be embedded is kept.
    """
    by_hash = {file.sha256: file for file in files}
    missing = [by_hash[sha] for sha in store.missing(by_hash)]
    errors: list[UserError] = []
    done = 0
    clips = load_clips(missing, loaded.backbone.input, sampling)
    if missing:
        _warm_up(loaded.backbone, device)
    with Writer(store) as writer:
        embedding = Embedding(loaded.backbone, device)
        while batch := list(islice(clips, BATCH)):
            errors += [found for _, found in batch if isinstance(found, UserError)]
            embedding.add([(file.sha256, clip) for file, clip in batch if isinstance(clip, Tensor)])
            done += len(batch)
            if embedding.names and (len(embedding.names) >= SHARD or done == len(missing)):
                writer.write(embedding)
                embedding = Embedding(loaded.backbone, device)
            progress(done, len(missing))
    if errors:
        raise _together(errors)


@torch.no_grad()
def _warm_up(backbone: Backbone, device: torch.device) -> None:
    """Call a GPU once: it chooses kernels and loads them, which says nothing about speed."""
    if device.type == "cuda":
        spec = backbone.input
        backbone(torch.zeros(BATCH, 3, spec.frames, spec.size, spec.size, device=device))


class Embedding:
    """Features of some clips, on the device until they are asked for.

    A GPU is asked for one batch after another and not waited for: the host stacks the next one in
    pinned memory, from where it is copied while the one before is computed.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        """Begin with none."""
        self.names: list[str] = []
        self._backbone, self._device = backbone, device
        self._features: list[Tensor] = []
        self._watches: list[Stopwatch] = []

    @torch.no_grad()
    def add(self, clips: Sequence[tuple[str, Tensor]]) -> None:
        """Embed up to `BATCH` named clips, each (3, frames, size, size)."""
        if not clips:
            return
        batch = [clip for _, clip in clips]
        filled = torch.stack(batch + [batch[-1]] * (BATCH - len(batch)))
        if self._device.type == "cuda":
            filled = filled.pin_memory()
        with Stopwatch(self._device) as watch:
            found = self._backbone(filled.to(self._device, non_blocking=True)).float()
        self.names += [name for name, _ in clips]
        self._features.append(found[: len(batch)])
        self._watches.append(watch)

    def result(self) -> tuple[np.ndarray, float]:
        """Wait for the device; return features and the seconds they took, decoding not counted."""
        features = torch.cat(self._features).cpu().numpy()
        return features, sum(watch.seconds for watch in self._watches)


class Writer:
    """Writes shards in a thread, one at a time, while the next clips are embedded."""

    def __init__(self, store: FeatureStore) -> None:
        """Write into ``store``."""
        self._store = store
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def write(self, embedding: Embedding) -> None:
        """Write a shard as soon as the one before is written."""
        self._wait()
        self._last = self._pool.submit(self._written, embedding)

    def _written(self, embedding: Embedding) -> None:
        self._store.write(embedding.names, *embedding.result())

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def __exit__(self, *_: object) -> None:
        """Wait until all is written."""
        self._pool.shutdown()
        self._wait()


def _together(errors: Sequence[UserError]) -> UserError:
    """One error for all files that could not be decoded."""
    left_out = len(errors) - ERRORS_SHOWN
    more = f"\n... and {left_out} more" if left_out > 0 else ""
    return UserError("\n".join(map(str, errors[:ERRORS_SHOWN])) + more)


def embed(
    backbone: Backbone, clips: Sequence[Tensor], device: torch.device
) -> tuple[np.ndarray, float]:
    """Embed clips in batches of one size; return features and the seconds they took."""
    _warm_up(backbone, device)
    embedding = Embedding(backbone, device)
    for first in range(0, len(clips), BATCH):
        embedding.add([("", clip) for clip in clips[first : first + BATCH]])
    return embedding.result()
