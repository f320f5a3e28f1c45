"""Clips from video files, with decord."""

import importlib.metadata
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from episodes.errors import UserError
from episodes.sampling import Sampling, frame_indices

# At the end of a file decord asks its own thread for the last frames in a busy loop, and calls the
# file damaged after this many turns: too few, and a good file fails where the machine is busy.
os.environ.setdefault("DECORD_EOF_RETRY_MAX", "100000")

Clip = NDArray[np.uint8]

REVISION = "all frames in order"
"""How decord is used; part of a feature's identity, to be changed when other frames come out."""
TOLERANCE = 0.1
"""Part of its declared length that a video may lack: containers round, and count loosely."""
NO_SUBSTITUTES = 1e-9
"""Share of frames that decord may replace by their neighbours before it says so."""

REASONS = (
    ("Error sending packet", "a frame is damaged"),
    ("av_read_frame failed", "it is damaged, or ends before its last frame"),
    ("duplicate frames", "frames are damaged, or decord 0.6.0 cannot count them in this container"),
    ("Unable to handle EOF", "decord does not find all its frames: it is damaged, or has no index"),
    ("cannot find video stream", "decord 0.6.0 has no decoder for its codec"),
    ("Cannot create buffer source", "it ends before its first frame"),
    ("broken metadata", "its header states no length: remux it, `ffmpeg -i IN -c copy OUT`"),
)
"""What decord's messages mean."""
TOO_NARROW = "decord 0.6.0 pads frames this narrow: re-encode it 96 or wider"
PYTHON_ERRORS = (RuntimeError, ValueError, LookupError, AssertionError, StopIteration)
"""What decord's Python side raises."""


def decoder_identity() -> str:
    """Name and version of the decoder: another one may decode to other pixels."""
    return f"decord {importlib.metadata.version('decord')}, {REVISION}"


def decode(path: Path, frames: int, sampling: Sampling) -> Clip:
    """Decode the frames that a sampling takes.

    All frames are decoded, in order: where decord 0.6.0 jumps, it lands on other frames than asked
    for in many files (open groups of pictures, B-frames of MPEG-4, H.264 in AVI), and says nothing.

    Args:
        path: a video file.
        frames: how many frames a clip has.
        sampling: see `episodes.sampling.frame_indices`.

    Returns:
        uint8 (clips * frames, height, width, 3), RGB.

    Raises:
        UserError: the file is missing, empty, cut short or cannot be decoded; the message names it.
    """
    with _explained(path):
        reader, shown = _opened(path)
        clip = _taken(reader, shown, frame_indices(sampling, shown, frames).tolist())
    if clip.shape[-1] != 3:
        raise _undecodable(path, TOO_NARROW)
    return np.asarray(clip, dtype=np.uint8)


def probe(path: Path) -> int:
    """Decode a video's first frame and return how many there are.

    Raises:
        UserError: as `decode` does, as far as that can be seen without decoding every frame.
    """
    with _explained(path):
        reader, shown = _opened(path)
        first = reader.next().asnumpy()
    if first.shape[-1] != 3:
        raise _undecodable(path, TOO_NARROW)
    return shown


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn decord's errors into ones that name the file and say what to do."""
    import decord

    try:
        yield
    except (decord.DECORDError, decord.DECORDLimitReachedError, *PYTHON_ERRORS) as error:
        raise _undecodable(path, _readable(str(error))) from error


def _opened(path: Path) -> tuple[Any, int]:
    """Open a file that is whole; return its reader and how many frames are shown."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    _check_present(path)
    promise = _promise(path)
    reader = decord.VideoReader(str(path), num_threads=1, fault_tol=NO_SUBSTITUTES)
    _check_whole(path, promise, len(reader))
    return reader, _shown(reader.get_frame_timestamp(range(len(reader)))[:, 0])


def _shown(starts: NDArray[np.float32]) -> int:
    """How many frames are shown, by the second at which each starts.

    An edit list hides frames before zero, as ``ffmpeg -ss TIME -c copy`` leaves them. decord
    counts them and does not return them. Where it knows no times, it makes up huge ones.
    """
    hidden = (starts > -1e6) & (starts < 0)
    return len(starts) - int(hidden.sum())


def _taken(reader: Any, shown: int, indices: list[int]) -> Clip:
    """Read all frames and keep those of the indices."""
    kept: dict[int, Clip] = {}
    for index in range(shown):
        frame = reader.next()
        if index in indices:
            kept[index] = frame.asnumpy()
    return np.stack([kept[index] for index in indices])


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: there is no such video file; put it there or leave it out")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); fetch it again or leave it out")


@dataclass(frozen=True)
class _Promise:
    """What a file's header says of its length; 0 where it says nothing."""

    frames: float
    seconds: float
    streams: Sequence[int]
    """Indices of the streams, one of which lasts that long."""


def _promise(path: Path) -> _Promise:
    """Read the header. decord would print its own complaint about a bad one to stderr."""
    try:
        with av.open(path) as file:
            stream = file.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise _undecodable(path, "it has no video stream")
            return _declared(file, stream)
    except UnicodeDecodeError:
        # A tag in another encoding than UTF-8 says nothing about the video.
        return _Promise(0, 0, [])
    except av.FFmpegError as error:
        reason = f"it is not a video, or its index is missing: {error.strerror}"
        raise _undecodable(path, reason) from error


def _declared(file: InputContainer, stream: av.VideoStream) -> _Promise:
    """What the header says of the video stream or, failing that, of the longest stream.

    Only AVI's number of frames counts: MP4 counts frames that an edit list hides. And only AVI's
    duration does not: libav guesses it from the file's size.
    """
    rate, whole = float(stream.average_rate or 0), (file.duration or 0) / av.time_base
    if file.format.name == "avi" and rate:
        return _Promise(stream.frames, stream.frames / rate, [stream.index])
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
        return _Promise(seconds * rate, seconds, [stream.index])
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "")):
        hours, minutes, rest = (float(part) for part in tag.groups())
        # A tag may have been copied from a longer file that this one was cut from.
        seconds = min(3600 * hours + 60 * minutes + rest, whole)
        return _Promise(seconds * rate, seconds, [stream.index])
    return _Promise(whole * rate, whole, range(len(file.streams)))


def _check_whole(path: Path, promise: _Promise, available: int) -> None:
    """Refuse a file that ends before its header says.

    Where frames are fewer than the length times the frame rate, the rate may just be uneven: then
    the time of the last packet decides, and the last frame may last as long as the mean one.
    """
    if available >= (1 - TOLERANCE) * promise.frames:
        return
    if _end(path, promise.streams) * (1 + 1 / available) < (1 - TOLERANCE) * promise.seconds:
        raise _undecodable(path, f"cut short: {available} of {promise.frames:.0f} frames")


def _end(path: Path, streams: Sequence[int]) -> float:
    """When the last packet of these streams ends, in seconds; where reading fails is the end."""
    end = 0.0
    with av.open(path) as file, suppress(av.FFmpegError):
        for packet in file.demux([file.streams[index] for index in streams]):
            if packet.pts is not None:
                before_zero = min(packet.stream.start_time or 0, 0)
                ticks = packet.pts - before_zero + (packet.duration or 0)
                end = max(end, float(ticks * packet.time_base))
    return end


def _readable(error: str) -> str:
    """What one of decord's messages means, without its clock, source files and conditions."""
    for words, meaning in REASONS:
        if words in error:
            return meaning
    plain = re.sub(r"\[\d\d:\d\d:\d\d\] \S+?:\d+: ", "", error).strip()
    return plain.splitlines()[0][:200] if plain else "no reason given"


def _undecodable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: cannot be decoded as video ({reason}); check it with `ffprobe`, fetch it again,"
        " re-encode it or leave it out"
    )
