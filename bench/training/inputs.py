"""Inputs of a learner: stored features if the backbone is frozen, clips if it is tuned."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.features.embedding import embedded_together
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.pretrained import CroppedInput
from bench.training.clips import ClipFormat, ClipLibrary, Wanted, augmented, drawn_changes
from bench.training.plan import DRAWS, Training
from bench.training.stream import Stream
from episodes.datasets import dataset
from episodes.decoding.sampling import Jittered, one_clip
from episodes.split import Split, VideoFile


class Features:
    """Features of the frozen backbone, from the store."""

    def __init__(self, training: Training, stream: Stream, reporter: Reporter) -> None:
        """Embed the videos whose features are missing, and read all features."""
        used = stream.used_videos()
        files = video_files(training, stream.split, used, reporter)
        self._used = torch.from_numpy(used)
        self._features = stored_features(training, files, reporter)
        self._device = training.device

    def prepare(self, videos: Tensor, step: int) -> None:
        """Do nothing: all features are in memory."""

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return float32 (videos of this process, C, T, H, W); see `Clips.take`."""
        return self._features[torch.searchsorted(self._used, videos[mine])].to(self._device)


class Clips:
    """Decoded clips, with another augmentation each time they are used."""

    def __init__(
        self, training: Training, stream: Stream, library: ClipLibrary, reporter: Reporter
    ) -> None:
        """Find the videos; each is decoded when it is needed."""
        used = stream.used_videos()
        files = video_files(training, stream.split, used, reporter)
        self._file = dict(zip(used.tolist(), files, strict=True))
        spec = training.backbone.backbone.input
        self._size = spec.size
        if training.recipe.random_crop and isinstance(spec, CroppedInput):
            sides = spec.resized if isinstance(spec.resized, tuple) else (spec.resized,)
            spec = replace(spec, size=min(sides))
        self._spare = spec.size - self._size + 2 * training.recipe.shift
        self._rule = one_clip(training.sampling)
        self._format = ClipFormat(spec, self._rule, torch.float16, training.backbone.decoder)
        self._library, self._training = library, training
        self._flip = training.recipe.flip and not dataset(stream.split.dataset).directional

    def prepare(self, videos: Tensor, step: int) -> None:
        """Start to decode the videos of a step."""
        self._library.prepare(self._wanted(videos, step))

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return augmented clips, float32 (videos of this process, 3, frames, size, size).

        Args:
            videos: all videos of a pass, as indices into the split; each gets its own random draws.
            mine: those of this process.
            step: number of the step, on which the jitter of the frames depends.
        """
        recipe = self._training.recipe
        changes = drawn_changes(len(videos), self._spare, recipe.recolour, self._flip)
        clips = self._library.take(self._wanted(videos[mine], step)).float()
        return augmented(clips, changes[mine], recipe.shift, self._size)

    def _wanted(self, videos: Tensor, step: int) -> list[Wanted]:
        wanted, draws = [], self._training.draws
        for video in videos.tolist():
            form = self._format
            if most := self._training.recipe.jitter:
                begin, end = (draws(word, step, video) / DRAWS for word in ("begin", "end"))
                form = replace(form, sampling=Jittered(self._rule, most, begin, end))
            wanted.append((self._file[video], form))
        return wanted


def video_files(
    training: Training, split: Split, used: NDArray[np.int64], reporter: Reporter
) -> list[VideoFile]:
    """Return the files of the used videos, rendered first where they can be.

    If features are given, return the files of their features.
    """
    videos = [split.videos[index] for index in used]
    if training.given is not None:
        return training.given.files(videos)
    source = dataset(split.dataset)
    title = f"prepare {source.name} {split.name} videos"
    with distributed.first_alone(), reporter.stage(title) as progress:
        return source.files(split.name, videos, progress)


def stored_features(training: Training, files: Sequence[VideoFile], reporter: Reporter) -> Tensor:
    """Features from the initial backbone, float32 (videos, C, T, H, W)."""
    if training.given is not None:
        return torch.from_numpy(training.given.read([file.sha256 for file in files]))
    backbone, sampling = training.backbone, training.sampling
    with reporter.stage(f"embed {sampling}") as progress:
        wanted = [(backbone, sampling)]
        (store,) = embedded_together(wanted, files, training.device, progress)
    return torch.from_numpy(store.read(backbone.keys(files)))
