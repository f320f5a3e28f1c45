"""Inputs of a learner: stored features if the backbone is frozen, clips if it is tuned."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

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


class Inputs(Protocol):
    """Inputs of a learner for videos of the training split."""

    def prepare(self, videos: Tensor, step: int) -> None:
        """Begin to fetch what a step will need."""
        ...

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return inputs on the training's device, (videos that are mine, ...).

        Args:
            videos: indices in the split, all of a pass: random draws are made for each of them.
            mine: those of them that this process takes.
            step: of the training.
        """
        ...


def training_inputs(
    training: Training, stream: Stream, library: ClipLibrary, reporter: Reporter
) -> Inputs:
    """Make the inputs that a training needs, and no video that it does not use."""
    if training.tuned:
        return Clips(training, stream, library, reporter)
    return Features(training, stream, reporter)


class Features:
    """Features of the frozen backbone, from the store."""

    def __init__(self, training: Training, stream: Stream, reporter: Reporter) -> None:
        """Embed what is missing and read all of it."""
        used = stream.used_videos()
        files = video_files(training, stream.split, used, reporter)
        self._row = _rows(used, len(stream.split.videos))
        self._features = stored_features(training, files, reporter)
        self._device = training.device

    def prepare(self, videos: Tensor, step: int) -> None:
        """Nothing to do: all is in memory."""

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return float32 (videos that are mine, C, T, H, W), the same at every step."""
        return self._features[self._row[videos[mine]]].to(self._device)


class Clips:
    """Decoded clips, augmented anew each time they are used."""

    def __init__(
        self, training: Training, stream: Stream, library: ClipLibrary, reporter: Reporter
    ) -> None:
        """Find the videos; they are decoded when they are needed."""
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
        source = dataset(stream.split.dataset)
        self._flip = training.recipe.flip and not source.directional

    def prepare(self, videos: Tensor, step: int) -> None:
        """Begin to decode."""
        self._clips.prepare(self._wanted(videos, step))

    def take(self, videos: Tensor, mine: slice, step: int) -> Tensor:
        """Return float32 (videos that are mine, 3, frames, size, size), augmented."""
        recipe = self._training.recipe
        changes = drawn_changes(len(videos), self._spare, recipe.recolour, self._flip)
        clips = self._clips.take(self._wanted(videos[mine], step)).float()
        return augmented(clips, changes[mine], recipe.shift, self._size)

    def _wanted(self, videos: Tensor, step: int) -> list[Wanted]:
        rows: list[int] = self._row[videos].tolist()
        frames = [self._frames(video, step) for video in videos.tolist()]
        return list(zip(rows, frames, strict=True))

    def _frames(self, video: int, step: int) -> Sampling:
        """Which frames of a video a step sees."""
        rule, most = one_clip(self._training.sampling), self._training.recipe.jitter
        if not most:
            return rule
        begin, end = (self._training.draws(word, step, video) / DRAWS for word in ("begin", "end"))
        return Jittered(rule, most, begin, end)


def video_files(
    training: Training, split: Split, used: NDArray[np.int64], reporter: Reporter
) -> list[VideoFile]:
    """Return where the used videos of a split are, making them first where that is possible.

    Where features are given, videos are not needed: these are the files of features.
    """
    videos = [split.videos[index] for index in used]
    if training.given is not None:
        return training.given.files(videos)
    source = dataset(split.dataset)
    title = f"prepare {source.name} {split.name} videos"
    with distributed.first_alone(), reporter.stage(title) as progress:
        return source.files(split.name, videos, progress)


def stored_features(training: Training, files: Sequence[VideoFile], reporter: Reporter) -> Tensor:
    """Features of videos by the backbone that training begins with, float32 (videos, ...)."""
    if training.given is not None:
        return torch.from_numpy(training.given.read([file.sha256 for file in files]))
    sampling = training.sampling
    with reporter.stage(f"embed {sampling}") as progress:
        (store,) = embedded_together(
            [training.backbone], sampling, files, training.device, progress
        )
    key = Readings(training.backbone.decoder).key
    return torch.from_numpy(store.read([key(file) for file in files]))


def _rows(used: NDArray[np.int64], videos: int) -> Tensor:
    """(videos in the split,) place among the used ones; -1 where a video is not used."""
    rows = torch.full((videos,), -1, dtype=torch.int64)
    rows[torch.from_numpy(used)] = torch.arange(len(used))
    return rows
