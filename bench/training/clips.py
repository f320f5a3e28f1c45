"""Clips for training: decoded when they are needed, ahead of time, and kept while they fit."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count

import torch
from torch import Tensor

from bench.backbone import InputSpec
from bench.clips import load_clip
from episodes.datasets import VideoFile

MEMORY = 4 << 30
"""Bytes of decoded clips that are kept; what does not fit is decoded again."""


class TrainingClips:
    """Normalised clips of a list of videos: (rows, 3, frames, size, size).

    Args:
        files: the videos; a row is a place in this list.
        spec: what the backbone wants to see.
        sampling: which frames, see `episodes.sampling`.
        dtype: in which clips are kept; float16 is enough for training, evaluation has float32.
        memory: bytes of clips that are kept.
    """

    def __init__(
        self,
        files: Sequence[VideoFile],
        spec: InputSpec,
        sampling: str,
        dtype: torch.dtype,
        memory: int = MEMORY,
    ) -> None:
        """Open the list; nothing is decoded yet."""
        self._files, self._spec, self._sampling, self._dtype = files, spec, sampling, dtype
        self._room = memory // (dtype.itemsize * 3 * spec.frames * spec.size**2)
        self._held: dict[int, Tensor] = {}
        self._waiting: dict[int, Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(cpu_count() or 1)

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self._files)

    def prepare(self, rows: Sequence[int]) -> None:
        """Begin to decode videos that will be needed soon."""
        for row in rows:
            if row not in self._held and row not in self._waiting:
                self._waiting[row] = self._pool.submit(self._load, row)

    def take(self, rows: Sequence[int]) -> Tensor:
        """Return clips in the order of ``rows``; a row may occur several times.

        Raises:
            UserError: a video cannot be decoded.
        """
        self.prepare(rows)
        taken = {row: self._one(row) for row in dict.fromkeys(rows)}
        return torch.stack([taken[row] for row in rows])

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, row: int) -> Tensor:
        return load_clip(self._files[row], self._spec, self._sampling).to(self._dtype)

    def _one(self, row: int) -> Tensor:
        if row in self._held:
            return self._held[row]
        clip = self._waiting.pop(row).result()
        if len(self._held) < self._room:
            self._held[row] = clip
        return clip
