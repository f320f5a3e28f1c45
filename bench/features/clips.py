"""Clips as a backbone takes them, decoded in parallel and ahead of time."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from bench.backbone import InputSpec
from bench.pretrained import prepared
from episodes.decoding.clips import Clip, chosen_decoder, decode_each
from episodes.decoding.frames import read_frames
from episodes.decoding.media import frames_of
from episodes.decoding.readings import IMAGES, Reading, Readings
from episodes.decoding.sampling import Sampling, clip_count
from episodes.errors import UserError
from episodes.split import VideoFile

Shrunk = TypeVar("Shrunk")

AHEAD_BYTES = 256 << 20
"""Memory for clips that are decoded ahead, for data sets of any size."""
NICENESS = 10
"""Niceness of decoding, so that it yields to a backbone on the same processors."""
LEAST_AHEAD, MOST_AHEAD = 32, 512
"""Bounds on the number of clips decoded ahead; two batches keep the next one complete."""


def read_clip(file: VideoFile, frames: int, sampling: Sampling, decoder: str | None = None) -> Clip:
    """Read a video from a file or a folder of frames: uint8 (clips * frames, height, width, 3).

    Raises:
        UserError: it cannot be decoded.
    """
    return np.stack(_read(file, frames, sampling, decoder, list))


def load_clip(
    file: VideoFile, spec: InputSpec, sampling: Sampling, decoder: str | None = None
) -> Tensor:
    """Read and normalise one video: float32 (3, clips * frames, size, size).

    Frames are resized a few at a time; only those are held in full size.

    Raises:
        UserError: it cannot be decoded.
    """

    def shrink(frames: Clip) -> tuple[Tensor, ...]:
        return prepared(torch.from_numpy(frames)[None], spec)[0].unbind(dim=1)

    frames = _read(file, spec.frames, sampling, decoder, shrink)
    # The memory layout of `prepared`, with colours last: it decides which kernels a backbone uses,
    # and so how its sums are rounded.
    clip = torch.empty(len(frames), spec.size, spec.size, 3).permute(3, 0, 1, 2)
    for place, frame in enumerate(frames):
        clip[:, place] = frame
    return clip


def _read(
    file: VideoFile,
    frames: int,
    sampling: Sampling,
    decoder: str | None,
    shrink: Callable[[Clip], Sequence[Shrunk]],
) -> list[Shrunk]:
    """Return each frame of a clip after ``shrink``, and remember how the video was read."""
    readings = Readings(chosen_decoder(decoder))
    known = readings.get(file.sha256)
    if file.path.is_dir():
        images = frames_of(file.path)
        taken, resized = read_frames(images, frames, sampling, shrink)
        found = Reading(IMAGES, len(images), resized)
    else:
        taken, found = decode_each(file.path, frames, sampling, shrink, decoder, known, file.sha256)
    if found != known:
        readings.add(file.sha256, found)
    return taken


def videos_ahead(spec: InputSpec, sampling: Sampling) -> int:
    """Return the number of videos to decode ahead; at least one besides the one in use.

    >>> videos_ahead(InputSpec(16, 48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), "linspace")
    512
    >>> large = InputSpec(8, 224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    >>> [videos_ahead(large, rule) for rule in ("linspace", "3 x linspace", "99 x linspace")]
    [55, 19, 2]
    """
    size = 4 * 3 * spec.frames * spec.size**2
    clips = max(LEAST_AHEAD, min(MOST_AHEAD, AHEAD_BYTES // size))
    return max(2, -(-clips // clip_count(sampling)))


def load_clips(
    files: Sequence[VideoFile], spec: InputSpec, sampling: Sampling, decoder: str | None = None
) -> Iterator[tuple[VideoFile, Tensor | UserError]]:
    """Yield each file with its clip, or with the error it raised, in the order of the files.

    One thread per processor resizes frames, each fed by a decoding process of its own.
    """
    ahead = videos_ahead(spec, sampling)
    waiting: deque[tuple[VideoFile, Future[Tensor]]] = deque()
    queue = iter(files)
    with ThreadPoolExecutor(os.cpu_count() or 1, initializer=_step_back) as pool:
        try:
            while True:
                while len(waiting) < ahead and (file := next(queue, None)) is not None:
                    waiting.append((file, pool.submit(load_clip, file, spec, sampling, decoder)))
                if not waiting:
                    return
                file, future = waiting.popleft()
                try:
                    yield file, future.result()
                except UserError as error:
                    yield file, error
        finally:
            pool.shutdown(cancel_futures=True)


def _step_back() -> None:
    """Lower the priority of this thread; outside Linux that would affect the whole process."""
    if sys.platform == "linux":
        with suppress(OSError):  # A sandbox may forbid it, and nothing depends on it.
            os.nice(NICENESS)
