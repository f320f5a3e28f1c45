"""Lossless video files: the decoded frames are the frames that were encoded.

A lossy file depends on the encoder's version, build and number of threads. A lossless file decodes
to the same pixels wherever the dataset is rendered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from episodes.atomic import replacing


@dataclass(frozen=True)
class Source:
    """A kind of recording: container, codec, frame rate and number of frames."""

    suffix: str
    container: str
    codec: str
    frames: int
    frames_per_second: int
    options: Mapping[str, str] = field(default_factory=dict)


PHONE = Source("mp4", "mp4", "libx264", 16, 8, {"qp": "0", "preset": "veryfast"})
WEB = Source("webm", "webm", "libvpx-vp9", 32, 25, {"lossless": "1", "cpu-used": "8"})
ARCHIVE = Source("mkv", "matroska", "ffv1", 24, 12, {"level": "3"})
EXACT = {"fflags": "+bitexact"}
"""Keeps random identifiers and version names out of the files, so that their bytes repeat."""


def encode(path: Path, frames: NDArray[np.uint8], source: Source) -> None:
    """Write frames to a file that appears under its name only when it is complete.

    ``frames`` are uint8 (frames, 3/2 height, width), planar 4:2:0 as `raster.draw` returns them.
    """
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    with (
        replacing(path) as unfinished,
        av.open(unfinished, "w", source.container, container_options=EXACT) as file,
    ):
        stream = file.add_stream(
            source.codec, rate=source.frames_per_second, options=dict(source.options)
        )
        assert isinstance(stream, av.VideoStream)  # noqa: S101 - what a video codec gives
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
        file.mux(stream.encode())
