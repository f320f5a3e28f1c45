"""Clips for training: decoded ahead of time, cached within a limit, and augmented at random."""

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

MEMORY = 4 << 30
"""Bytes of decoded clips that are cached; further clips are decoded every time."""


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of one clip."""

    top: int
    left: int
    """Top left corner of the new clip within the padded one."""
    colours: Sequence[int]
    """New order of the three colour channels."""
    contrast: float
    mirrored: bool


def drawn_changes(
    videos: int, spare: int, recolour: bool = True, flip: bool = False
) -> list[Augmentation]:
    """Draw an augmentation for each clip from torch's global generator.

    Args:
        videos: number of clips.
        spare: pixels by which a padded clip is larger than the new one.
        recolour: permute the colour channels, scale the contrast by 0.7 to 1.3, and invert half of
            the clips.
        flip: mirror half of the clips; only where that does not change the class.
    """
    factors = torch.ones(videos)
    if recolour:
        factors = (0.7 + 0.6 * torch.rand(videos)) * (1 - 2 * torch.randint(2, (videos,)))
    mirrored = torch.randint(2, (videos,)).tolist() if flip else [0] * videos
    changes = []
    for factor, mirror in zip(factors.tolist(), mirrored, strict=True):
        top, left = torch.randint(spare + 1, (2,)).tolist()
        colours = torch.randperm(3).tolist() if recolour else range(3)
        changes.append(Augmentation(top, left, colours, factor, bool(mirror)))
    return changes


def augmented(clips: Tensor, changes: Sequence[Augmentation], shift: int, size: int) -> Tensor:
    """Shift, recolour and mirror clips.

    Args:
        clips: float (videos, 3, frames, height, width), normalised around zero.
        changes: one for each clip.
        shift: pixels by which each clip is padded on all sides, repeating its border.
        size: height and width of the new clips.

    Returns:
        (videos, 3, frames, size, size)
    """
    videos, channels, frames = clips.shape[:3]
    padded = nn.functional.pad(clips.flatten(0, 1), [shift] * 4, mode="replicate")
    padded = padded.reshape(videos, channels, frames, *padded.shape[-2:])
    # Single channels are views: no index has to reach a GPU, and nothing is copied twice.
    colours: list[Tensor] = []
    for clip, change in zip(padded, changes, strict=True):
        moved = clip[..., change.top : change.top + size, change.left : change.left + size]
        seen = moved.flip(-1) if change.mirrored else moved
        colours += [seen[colour] for colour in change.colours]
    contrast = torch.tensor([change.contrast for change in changes], device=clips.device)
    changed = torch.stack(colours).reshape(videos, channels, frames, size, size)
    return changed * contrast.reshape(-1, 1, 1, 1, 1)


@dataclass(frozen=True)
class ClipFormat:
    """How a video is presented: its frames, their size and normalisation."""

    spec: InputSpec
    sampling: Sampling
    dtype: torch.dtype
    """float16 for training, float32 for evaluation."""
    decoder: str | None
    """The preferred video reader."""


Wanted = tuple[VideoFile, ClipFormat]
Key = tuple[str, ClipFormat]
"""The hash of a video, and its format."""


class ClipLibrary:
    """Normalised clips on a device, up to ``memory`` bytes, shared by consecutive trainings."""

    def __init__(self, device: torch.device, memory: int = MEMORY) -> None:
        """Start with an empty cache."""
        self._device, self._room = device, memory
        self._held: dict[Key, Tensor] = {}
        self._waiting: dict[Key, Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(cpu_count() or 1)

    def prepare(self, wanted: Sequence[Wanted]) -> None:
        """Start to decode clips that will be needed soon."""
        for file, form in wanted:
            key = file.sha256, form
            if key not in self._held and key not in self._waiting:
                self._waiting[key] = self._pool.submit(self._load, file, form)

    def take(self, wanted: Sequence[Wanted]) -> Tensor:
        """Return clips (wanted, 3, clips * frames, size, size); one may be wanted several times.

        Raises:
            UserError: a video cannot be decoded.
        """
        self.prepare(wanted)
        keys = [(file.sha256, form) for file, form in wanted]
        clips: dict[Key, Tensor] = {}
        for key in dict.fromkeys(keys):
            if key in self._held:
                clips[key] = self._held[key]
                continue
            clip = clips[key] = self._waiting.pop(key).result()
            # The same jitter is hardly ever drawn again.
            if clip.nbytes <= self._room and not isinstance(key[1].sampling, Jittered):
                self._held[key] = clip
                self._room -= clip.nbytes
        return torch.stack([clips[key] for key in keys])

    def each(self, files: Sequence[VideoFile], form: ClipFormat) -> Iterator[Tensor]:
        """Yield clips one by one, while those of the following videos are decoded."""
        wanted = [(file, form) for file in files]
        ahead = videos_ahead(form.spec, form.sampling)
        self.prepare(wanted[:ahead])
        for place, one in enumerate(wanted):
            self.prepare(wanted[place + ahead : place + ahead + 1])
            yield self.take([one])[0]

    @contextmanager
    def for_one_training(self) -> Iterator[None]:
        """Drop clips that were prepared but never used when the training ends."""
        try:
            yield
        finally:
            for future in self._waiting.values():
                future.cancel()
            self._waiting.clear()

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, file: VideoFile, form: ClipFormat) -> Tensor:
        return load_clip(file, form.spec, form.sampling, form.decoder).to(self._device, form.dtype)
