"""Passes clips through a backbone batch by batch, and writes them to a store shard by shard."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np
import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features.store import FeatureStore
from bench.machine.device import Stopwatch

BATCH = 16
"""Clips embedded at once, always: the last batch is filled up. Kernels may add in another order
for another batch size, and a feature must not depend on which videos were missing."""
SHARD = 128
"""Videos written at once: what a kill can cost."""


@torch.no_grad()
def warm_up(backbone: Backbone, device: torch.device) -> None:
    """Call a GPU once: it then chooses and loads kernels, which must not be timed."""
    if device.type == "cuda":
        spec = backbone.input
        backbone(torch.zeros(BATCH, 3, spec.frames, spec.size, spec.size, device=device))


class Embedding:
    """Features of some videos, on the device until they are asked for.

    The host does not wait for the GPU between batches: it stacks the next batch in pinned memory,
    from where it is copied while the previous one is computed.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        """Begin with none."""
        self._backbone, self._device = backbone, device
        self._parts: list[tuple[list[str], Tensor, list[Stopwatch]]] = []

    @property
    def names(self) -> list[str]:
        """Of the videos that are embedded, in their order."""
        return [name for names, *_ in self._parts for name in names]

    def add(self, videos: Sequence[tuple[str, Tensor]]) -> None:
        """Embed named videos, each (3, clips * frames, size, size), with equally many clips.

        The maps of a video's clips are averaged. An interrupt leaves all of these videos or none.
        """
        if not videos:
            return
        frames = self._backbone.input.frames
        clips = [clip for _, video in videos for clip in video.split(frames, dim=1)]
        batches = [clips[first : first + BATCH] for first in range(0, len(clips), BATCH)]
        found = [self._embedded(batch) for batch in batches]
        maps = torch.cat([maps for maps, _ in found])
        averaged = maps.unflatten(0, (len(videos), -1)).mean(dim=1)
        self._parts.append(([name for name, _ in videos], averaged, [watch for _, watch in found]))

    @torch.no_grad()
    def _embedded(self, batch: list[Tensor]) -> tuple[Tensor, Stopwatch]:
        """Embed up to `BATCH` clips."""
        filled = torch.stack(batch + [batch[-1]] * (BATCH - len(batch)))
        if self._device.type == "cuda" and not filled.is_cuda:
            filled = filled.pin_memory()
        with Stopwatch(self._device) as watch:
            found = self._backbone(filled.to(self._device, non_blocking=True)).float()
        return found[: len(batch)], watch

    def result(self) -> tuple[np.ndarray, float]:
        """Wait for the device.

        Returns:
            float32 (videos, C, T, H, W), and the seconds it took, without decoding.
        """
        features = torch.cat([maps for _, maps, _ in self._parts]).cpu().numpy()
        return features, sum(watch.seconds for *_, watches in self._parts for watch in watches)


class Filling:
    """Adds missing videos to a store; shards are written in a thread, one at a time.

    Args:
        store: where features go.
        backbone: on the device.
        device: where to compute.
        warm: whether to begin with an untimed call; not where nothing will be added.
    """

    def __init__(
        self,
        store: FeatureStore,
        backbone: Backbone,
        device: torch.device,
        warm: bool = True,
    ) -> None:
        """Begin with nothing."""
        self._store, self._backbone, self._device = store, backbone, device
        self._warm = warm
        self._embedding = Embedding(backbone, device)
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        """Start, if there is anything to do."""
        if self._warm:
            warm_up(self._backbone, self._device)
        return self

    def add(self, videos: Sequence[tuple[str, Tensor]]) -> None:
        """Embed videos that the store lacks, each under its key."""
        self._embedding.add(videos)
        if len(self._embedding.names) >= SHARD:
            self._write()

    def _write(self) -> None:
        """Write a shard as soon as the previous one is written."""
        self._wait()
        self._last = self._pool.submit(self._written, self._embedding)
        self._embedding = Embedding(self._backbone, self._device)

    def _written(self, embedding: Embedding) -> None:
        self._store.write(embedding.names, *embedding.result())

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def __exit__(self, *_: object) -> None:
        """Write the rest, and wait until all is written."""
        try:
            if self._embedding.names:
                self._write()
        finally:
            self._pool.shutdown()
        self._wait()
