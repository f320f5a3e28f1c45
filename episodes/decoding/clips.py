"""Clips from video files: which reader is used, and the error for a file that none can read."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from episodes.decoding.process import Request, answered
from episodes.decoding.readers import DECODERS, default_decoder
from episodes.decoding.readings import Reading
from episodes.decoding.sampling import Sampling, frame_indices
from episodes.errors import UserError, unknown

Clip = NDArray[np.uint8]
"""uint8 (frames, height, width, 3), RGB."""
Shrunk = TypeVar("Shrunk")


def chosen_decoder(name: str | None) -> str:
    """Return the reader that a user asked for, or the preferred one.

    Raises:
        UserError: no reader has this name, or it is not installed.
    """
    if name is None:
        return default_decoder()
    if name not in DECODERS:
        raise unknown("decoder", name, DECODERS)
    if name == "decord" and default_decoder() != name:
        raise UserError(
            "--decoder decord: it is not installed, and exists for Linux on x86-64 only; leave the"
            " option out, and PyAV reads the videos"
        )
    return name


def decoder_identity(name: str | None = None) -> str:
    """Name and version of a reader: another version may decode to other pixels."""
    return DECODERS[chosen_decoder(name)].identity()


def decode_each(
    path: Path,
    frames: int,
    sampling: Sampling,
    shrink: Callable[[Clip], Sequence[Shrunk]],
    decoder: str | None = None,
    known: Reading | None = None,
    sha256: str = "",
) -> tuple[list[Shrunk], Reading]:
    """Decode the sampled frames, and shrink each as soon as it is decoded.

    A video that decord does not read as libav does (packed bitstreams, AV1, narrow frames, ...) is
    read by PyAV. When a video is read for the first time, it is decoded to its end, so that damage
    is found; later reads stop at the last sampled frame.

    Args:
        path: a video file.
        frames: number of frames in a clip.
        sampling: see `episodes.decoding.sampling.frame_indices`.
        shrink: processes some frames, in their order, so that no clip is held in full size.
        decoder: the preferred reader, "decord" or "av"; if None, the one that is installed.
        known: what an earlier read found out about the video.
        sha256: the expected hash of the file; empty if any content will do.

    Returns:
        the result for each frame, clips * frames of them; and what to know at the next read.

    Raises:
        UserError: the file is missing, empty, cut short, damaged, or cannot be decoded; the
            message names it.
    """
    check_file(path)
    frame_indices(sampling, 1, frames)  # refuses an unknown rule before anything is opened
    first = known.reader if known else chosen_decoder(decoder)
    for reader in (first,) if known or first == "av" else (first, "av"):
        request = Request(
            str(path.absolute()),  # libav takes a relative a:b.mp4 for an address
            reader,
            frames,
            sampling,
            known.frames if known else None,
            sha256,
        )
        taken: dict[int, Shrunk] = {}

        def receive(indices: list[int], part: Clip, taken: dict[int, Shrunk] = taken) -> None:
            taken.update(zip(indices, shrink(part), strict=True))

        answer = answered(request, receive)
        if answer.error is None:
            indices = frame_indices(sampling, answer.frames, frames).tolist()
            return [taken[index] for index in indices], Reading(reader, answer.frames)
    raise _undecodable(path, answer.error)


def examine(path: Path) -> tuple[str, str]:
    """Return the name of a file's container, and what a strict decoder says about its frames.

    Raises:
        UserError: it cannot be opened.
    """
    check_file(path)
    answer = answered(Request(str(path.absolute())), lambda *_: None)
    if answer.error is not None:
        raise _undecodable(path, answer.error)
    return answer.container, answer.complaint


def check_file(path: Path) -> None:
    """Refuse anything but a file with content before it is opened: a pipe would block.

    Raises:
        UserError: it is missing, empty, or not a regular file.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file may raise
        raise UserError(f"{path}: there is no such video file; put it there or leave it out")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); fetch it again or leave it out")


def _undecodable(path: Path, reason: str | None) -> UserError:
    return UserError(
        f"{path}: cannot be decoded as video ({reason}); check it with `ffprobe`, fetch it again,"
        " re-encode it or leave it out"
    )
