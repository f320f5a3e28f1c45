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
from bench.training.clips import ClipLibrary, TrainingClips, Wanted, augmented, drawn_changes
from bench.training.plan import DRAWS, Training
from bench.training.stream import Stream
from episodes.datasets import dataset
from episodes.decoding.readings import Readings
from episodes.decoding.sampling import Jittered, Sampling, one_clip
from episodes.split import Split, VideoFile


class Features:
    """Features of the frozen backbone, from the store."""

    def __init__(self, training: Training, stream: Stream, reporter: Reporter) -> None:
        """Embed the videos whose features are missing, and read all features."""
        used = stream.used_videos()
        files = video_files(training, stream.split, used, reporter)
        self._row = _rows(used, len(stream.split.videos))
        self._features = stored_features(training, files, reporter)
        self._device = training.device

    def prepare(self, videos: Tensor, step: int) -> None:
        """Do nothing: all features are in memory."""

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return float32 (videos of this process, C, T, H, W); see `Clips.take`."""
        return self._features[self._row[videos[mine]]].to(self._device)


class Clips:
    """Decoded clips, with another augmentation each time they are used."""

    def __init__(
        self, training: Training, stream: Stream, library: ClipLibrary, reporter: Reporter
    ) -> None:
        """Find the videos; each is decoded when it is needed."""
        used = stream.used_videos()
        files = video_files(training, stream.split, used, reporter)
        spec, decoder = training.backbone.backbone.input, training.backbone.decoder
        self._size = spec.size
        if training.recipe.random_crop and isinstance(spec, CroppedInput):
            sides = spec.resized if isinstance(spec.resized, tuple) else (spec.resized,)
            spec = replace(spec, size=min(sides))
        self._spare = spec.size - self._size + 2 * training.recipe.shift
        self._row = _rows(used, len(stream.split.videos))
        self._clips = TrainingClips(files, spec, torch.float16, library, decoder)
        self._training = training
        self._flip = training.recipe.flip and not dataset(stream.split.dataset).directional

    def prepare(self, videos: Tensor, step: int) -> None:
        """Start to decode the videos of a step."""
        self._clips.prepare(self._wanted(videos, step))

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return augmented clips, float32 (videos of this process, 3, frames, size, size).

        Args:
            videos: all videos of a pass, as indices into the split; each gets its own random draws.
            mine: those of this process.
            step: number of the step.
        """
        recipe = self._training.recipe
        changes = drawn_changes(len(videos), self._spare, recipe.recolour, self._flip)
        clips = self._clips.take(self._wanted(videos[mine], step)).float()
        return augmented(clips, changes[mine], recipe.shift, self._size)

    def _wanted(self, videos: Tensor, step: int) -> list[Wanted]:
        rows: list[int] = self._row[videos].tolist()
        frames = [self._frames(video, step) for video in videos.tolist()]
        return list(zip(rows, frames, strict=True))

    def _frames(self, video: int, step: int) -> Sampling:
        """Return which frames of a video are used at a step."""
        rule, most = one_clip(self._training.sampling), self._training.recipe.jitter
        if not most:
            return rule
        begin, end = (self._training.draws(word, step, video) / DRAWS for word in ("begin", "end"))
        return Jittered(rule, most, begin, end)


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
    sampling = training.sampling
    with reporter.stage(f"embed {sampling}") as progress:
        wanted = [(training.backbone, sampling)]
        (store,) = embedded_together(wanted, files, training.device, progress)
    key = Readings(training.backbone.decoder).key
    return torch.from_numpy(store.read([key(file) for file in files]))


def _rows(used: NDArray[np.int64], videos: int) -> Tensor:
    """Return each video's index among the used ones, or -1: int64 (videos,)."""
    rows = torch.full((videos,), -1, dtype=torch.int64)
    rows[torch.from_numpy(used)] = torch.arange(len(used))
    return rows
