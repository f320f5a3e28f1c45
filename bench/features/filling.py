"""Passing clips through a backbone in batches, and writing features to a store in shards."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np
import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features.store import FeatureStore
from bench.machine.device import Stopwatch
from episodes.errors import UserError, in_words

BATCH = 16
"""Clips per batch, always: the last batch is padded. Kernels may sum in another order for another
batch size, and a feature must not depend on which other videos were missing."""
SHARD = 128
"""Videos written at once, and the most that a kill can lose."""


@torch.no_grad()
def warm_up(backbone: Backbone, device: torch.device) -> None:
    """Run the backbone once on a GPU, so that loading its kernels is not timed."""
    if device.type == "cuda":
        spec = backbone.input
        backbone(torch.zeros(BATCH, 3, spec.frames, spec.size, spec.size, device=device))


class Embedding:
    """Features of some videos, kept on the device until they are asked for.

    The host does not wait for the GPU between batches: the next batch is stacked in pinned memory
    and copied while the previous one is computed.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        """Start without videos."""
        self._backbone, self._device = backbone, device
        self._parts: list[tuple[list[str], Tensor, list[Stopwatch]]] = []

    @property
    def names(self) -> list[str]:
        """Names of the embedded videos, in order."""
        return [name for names, *_ in self._parts for name in names]

    def add(self, videos: Sequence[tuple[str, Tensor]]) -> None:
        """Embed named videos, each (3, clips * frames, size, size), with equal numbers of clips.

        The maps of a video's clips are averaged. An interrupt adds all of these videos or none.
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
        """Embed up to `BATCH` clips.

        Raises:
            UserError: the backbone raises an error, or its maps are not of the declared shape.
        """
        backbone = self._backbone
        declared = (BATCH, backbone.channels, *backbone.grid)
        filled = torch.stack(batch + [batch[-1]] * (BATCH - len(batch)))
        if self._device.type == "cuda" and not filled.is_cuda:
            filled = filled.pin_memory()
        try:
            with Stopwatch(self._device) as watch:
                found = backbone(filled.to(self._device, non_blocking=True)).float()
        except Exception as error:  # of its own code
            raise UserError(f"backbone {backbone.name} failed: {in_words(error)}") from error
        if found.shape != declared:
            raise UserError(
                f"backbone {backbone.name} gave maps of shape {tuple(found.shape)}, and declares"
                f" (videos, channels, *grid) = {declared}: correct one of them"
            )
        return found[: len(batch)], watch

    def result(self) -> tuple[np.ndarray, float]:
        """Wait for the device; return float32 (videos, C, T, H, W) and the seconds they took."""
        features = torch.cat([maps for _, maps, _ in self._parts]).cpu().numpy()
        return features, sum(watch.seconds for *_, watches in self._parts for watch in watches)


class Filling:
    """Adds missing videos to a store; a thread writes the shards, one at a time."""

    def __init__(self, store: FeatureStore, backbone: Backbone, device: torch.device) -> None:
        """Start without videos."""
        self._store, self._backbone, self._device = store, backbone, device
        self._embedding = Embedding(backbone, device)
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        """Warm up the backbone."""
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
        embedding = self._embedding
        self._last = self._pool.submit(
            lambda: self._store.write(embedding.names, *embedding.result())
        )
        self._embedding = Embedding(self._backbone, self._device)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def __exit__(self, *_: object) -> None:
        """Write the remaining videos, and wait until everything is written."""
        try:
            if self._embedding.names:
                self._write()
        finally:
            self._pool.shutdown()
        self._wait()
