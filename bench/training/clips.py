"""Clips for training: decoded ahead of time, kept while they fit, and augmented at random."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import cpu_count

import torch
from torch import Tensor, nn

from bench.backbone import InputSpec
from bench.features.clips import load_clip, videos_ahead
from episodes.decoding.sampling import Jittered, Sampling
from episodes.split import VideoFile


@dataclass(frozen=True)
class Change:
    """The augmentation of one clip."""

    top: int
    left: int
    """Where in the clip, padded on all sides, the new one begins."""
    colours: Sequence[int]
    """Order of the three colours."""
    contrast: float
    mirrored: bool


def drawn_changes(
    videos: int, spare: int, recolour: bool = True, flip: bool = False
) -> list[Change]:
    """Draw an augmentation for each clip from torch's global generator.

    Args:
        videos: how many.
        spare: pixels by which a padded clip is larger than the new one.
        recolour: permute a clip's colours, scale its contrast by 0.7 to 1.3, invert every other.
        flip: mirror every other clip; only where left and right are the same class.
    """
    factors = torch.ones(videos)
    if recolour:
        factors = (0.7 + 0.6 * torch.rand(videos)) * (1 - 2 * torch.randint(2, (videos,)))
    mirrored = torch.randint(2, (videos,)).tolist() if flip else [0] * videos
    changes = []
    for factor, mirror in zip(factors.tolist(), mirrored, strict=True):
        top, left = torch.randint(spare + 1, (2,)).tolist()
        colours = torch.randperm(3).tolist() if recolour else range(3)
        changes.append(Change(top, left, colours, factor, bool(mirror)))
    return changes


def augmented(clips: Tensor, changes: Sequence[Change], shift: int, size: int) -> Tensor:
    """Shift, recolour and mirror clips.

    Args:
        clips: float (videos, 3, frames, height, width), normalised around zero.
        changes: one for each clip.
        shift: pixels by which borders are repeated on all sides.
        size: height and width of the new clips.

    Returns:
        (videos, 3, frames, size, size)
    """
    videos, channels, frames = clips.shape[:3]
    padded = nn.functional.pad(clips.flatten(0, 1), [shift] * 4, mode="replicate")
    padded = padded.reshape(videos, channels, frames, *padded.shape[-2:])
    # Colours one by one are views: no index has to reach a GPU, and nothing is copied twice.
    colours: list[Tensor] = []
    for clip, change in zip(padded, changes, strict=True):
        moved = clip[..., change.top : change.top + size, change.left : change.left + size]
        seen = moved.flip(-1) if change.mirrored else moved
        colours += [seen[colour] for colour in change.colours]
    contrast = torch.tensor([change.contrast for change in changes], device=clips.device)
    changed = torch.stack(colours).reshape(videos, channels, frames, size, size)
    return changed * contrast.reshape(-1, 1, 1, 1, 1)


MEMORY = 4 << 30
"""Bytes of decoded clips that are kept; what does not fit is decoded again."""

Wanted = tuple[int, Sampling]
"""A row, and which frames of its video are used."""


@dataclass(frozen=True)
class Look:
    """How a video is presented: which frames, at which size, normalised how."""

    spec: InputSpec
    sampling: Sampling
    dtype: torch.dtype
    decoder: str | None


class ClipLibrary:
    """Normalised clips on the device that needs them, shared by consecutive trainings.

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
        """Return a clip (3, clips * frames, size, size), waiting for it if it is not there yet.

        Raises:
            UserError: the video cannot be decoded.
        """
        key = file.sha256, look
        if key in self._held:
            return self._held[key]
        self.prepare(file, look)
        clip = self._waiting.pop(key).result()
        # A jittered clip hardly ever comes again.
        if clip.nbytes <= self._room and not isinstance(look.sampling, Jittered):
            self._held[key] = clip
            self._room -= clip.nbytes
        return clip

    @contextmanager
    def for_one_training(self) -> Iterator[None]:
        """When a training ends, drop what was prepared for it and never used."""
        try:
            yield
        finally:
            for future in self._waiting.values():
                future.cancel()
            self._waiting.clear()

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, file: VideoFile, look: Look) -> Tensor:
        return load_clip(file, look.spec, look.sampling, look.decoder).to(self._device, look.dtype)


class TrainingClips:
    """Normalised clips of a list of videos.

    Args:
        files: the videos; a row is a place in this list.
        spec: what the backbone wants to see.
        dtype: in which clips are kept; float16 is enough for training, evaluation has float32.
        library: where they are kept.
        decoder: what is asked first to read them.
    """

    def __init__(
        self,
        files: Sequence[VideoFile],
        spec: InputSpec,
        dtype: torch.dtype,
        library: ClipLibrary,
        decoder: str | None = None,
    ) -> None:
        """Name the videos; nothing is decoded yet."""
        self._files, self._spec, self._dtype, self._library = files, spec, dtype, library
        self._decoder = decoder

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self._files)

    def prepare(self, wanted: Sequence[Wanted]) -> None:
        """Begin to decode what will be needed soon."""
        for row, sampling in wanted:
            self._library.prepare(self._files[row], self._look(sampling))

    def take(self, wanted: Sequence[Wanted]) -> Tensor:
        """Return clips (wanted, 3, clips * frames, size, size); one may be wanted several times.

        Raises:
            UserError: a video cannot be decoded.
        """
        self.prepare(wanted)
        taken = {
            (row, sampling): self._library.take(self._files[row], self._look(sampling))
            for row, sampling in dict.fromkeys(wanted)
        }
        return torch.stack([taken[one] for one in wanted])

    def each(self, wanted: Sequence[Wanted]) -> Iterator[Tensor]:
        """Yield clips one by one, while those that follow are decoded."""
        ahead = min(
            (videos_ahead(self._spec, one) for one in {rule for _, rule in wanted}), default=0
        )
        self.prepare(wanted[:ahead])
        for place, one in enumerate(wanted):
            self.prepare(wanted[place + ahead : place + ahead + 1])
            yield self.take([one])[0]

    def _look(self, sampling: Sampling) -> Look:
        return Look(self._spec, sampling, self._dtype, self._decoder)
