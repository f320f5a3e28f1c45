"""Clips for training: decoded when they are needed, ahead of time, and kept while they fit."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import torch
from torch import Tensor

from bench.backbone import InputSpec
from bench.clips import load_clip
from episodes.datasets import VideoFile

MEMORY = 4 << 30
"""Bytes of decoded clips that are kept; what does not fit is decoded again."""


@dataclass(frozen=True)
class Look:
    """What becomes of a video: which frames, at which size, as which numbers."""

    spec: InputSpec
    sampling: str
    """See `episodes.sampling`."""
    dtype: torch.dtype
    """float16 is enough for training, evaluation has float32."""


class ClipLibrary:
    """Normalised clips on the device where they are needed, shared by trainings that follow.

    Args:
        device: where clips are kept.
        memory: bytes of clips that are kept.
    """

    def __init__(self, device: torch.device, memory: int = MEMORY) -> None:
        """Open an empty library; nothing is decoded yet."""
        self._device, self._room = device, memory
        self._held: dict[tuple[str, Look], Tensor] = {}
        self._waiting: dict[tuple[str, Look], Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(cpu_count() or 1)

    def prepare(self, file: VideoFile, look: Look) -> None:
        """Begin to decode a video that will be needed soon."""
        key = file.sha256, look
        if key not in self._held and key not in self._waiting:
            self._waiting[key] = self._pool.submit(self._load, file, look)

    def take(self, file: VideoFile, look: Look) -> Tensor:
        """Return a clip (3, frames, size, size), waiting for it if it has to be decoded.

        Raises:
            UserError: the video cannot be decoded.
        """
        key = file.sha256, look
        if key in self._held:
            return self._held[key]
        self.prepare(file, look)
        clip = self._waiting.pop(key).result()
        if clip.nbytes <= self._room:
            self._held[key] = clip
            self._room -= clip.nbytes
        return clip

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, file: VideoFile, look: Look) -> Tensor:
        return load_clip(file, look.spec, look.sampling).to(self._device, look.dtype)


class TrainingClips:
    """A list of videos under one look: clips (rows, 3, frames, size, size).

    Args:
        files: the videos; a row is a place in this list.
        look: what is wanted of them.
        library: where they are kept.
    """

    def __init__(self, files: Sequence[VideoFile], look: Look, library: ClipLibrary) -> None:
        """Name the videos; nothing is decoded yet."""
        self._files, self._look, self._library = files, look, library

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self._files)

    def prepare(self, rows: Sequence[int]) -> None:
        """Begin to decode videos that will be needed soon."""
        for row in rows:
            self._library.prepare(self._files[row], self._look)

    def take(self, rows: Sequence[int]) -> Tensor:
        """Return clips in the order of ``rows``; a row may occur several times.

        Raises:
            UserError: a video cannot be decoded.
        """
        self.prepare(rows)
        return torch.stack([self._library.take(self._files[row], self._look) for row in rows])
