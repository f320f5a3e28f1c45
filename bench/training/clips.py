"""Clips for training: decoded when they are needed, ahead of time, and kept while they fit."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count

import torch
from torch import Tensor

from bench.backbone import InputSpec
from bench.clips import load_clip
from episodes.datasets import VideoFile
from episodes.sampling import Sampling

MEMORY = 4 << 30
"""Bytes of decoded clips that are kept; what does not fit is decoded again."""

Wanted = tuple[int, Sampling]
"""A row, and which frames of its video."""


class TrainingClips:
    """Normalised clips of a list of videos.

    Args:
        files: the videos; a row is a place in this list.
        spec: what the backbone wants to see.
        dtype: in which clips are kept; float16 is enough for training, evaluation has float32.
        memory: bytes of clips that are kept.
    """

    def __init__(
        self,
        files: Sequence[VideoFile],
        spec: InputSpec,
        dtype: torch.dtype,
        memory: int = MEMORY,
    ) -> None:
        """Open the list; nothing is decoded yet."""
        self._files, self._spec, self._dtype = files, spec, dtype
        self._room = memory
        self._held: dict[Wanted, Tensor] = {}
        self._waiting: dict[Wanted, Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(cpu_count() or 1)

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self._files)

    def prepare(self, wanted: Sequence[Wanted]) -> None:
        """Begin to decode what will be needed soon."""
        for one in wanted:
            if one not in self._held and one not in self._waiting:
                self._waiting[one] = self._pool.submit(self._load, *one)

    def take(self, wanted: Sequence[Wanted]) -> Tensor:
        """Return clips (wanted, 3, clips * frames, size, size); one may be wanted several times.

        Raises:
            UserError: a video cannot be decoded.
        """
        self.prepare(wanted)
        taken = {one: self._one(one) for one in dict.fromkeys(wanted)}
        return torch.stack([taken[one] for one in wanted])

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, row: int, sampling: Sampling) -> Tensor:
        return load_clip(self._files[row], self._spec, sampling).to(self._dtype)

    def _one(self, wanted: Wanted) -> Tensor:
        if wanted in self._held:
            return self._held[wanted]
        clip = self._waiting.pop(wanted).result()
        if clip.nbytes <= self._room:
            self._held[wanted] = clip
            self._room -= clip.nbytes
        return clip
