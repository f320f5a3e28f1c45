"""Clips from video files, with decord."""

import importlib.metadata
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from episodes.errors import UserError
from episodes.sampling import frame_indices

# decord retries a damaged stream 10,240 times before it gives up, which looks like a hang.
os.environ.setdefault("DECORD_EOF_RETRY_MAX", "128")

Clip = NDArray[np.uint8]


def decoder_identity() -> str:
    """Name and version of the decoder: another one may decode to other pixels."""
    return f"decord {importlib.metadata.version('decord')}"


def decode(path: Path, frames: int, rule: str) -> Clip:
    """Decode the frames that a sampling rule takes, and no others.

    Args:
        path: a video file.
        frames: how many frames the clip has.
        rule: a name in `episodes.sampling.RULES`.

    Returns:
        uint8 (frames, height, width, 3), RGB.

    Raises:
        UserError: the file is missing, empty or cannot be decoded; the message names it.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    _check_present(path)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        indices = frame_indices(rule, len(reader), frames).tolist() if len(reader) else []
        clip = reader.get_batch(indices).asnumpy() if indices else np.empty(0)
    except (decord.DECORDError, RuntimeError, ValueError, IndexError) as error:
        raise _undecodable(path, str(error)) from error
    if clip.ndim != 4 or clip.shape[0] != frames or clip.shape[-1] != 3 or not clip.size:
        raise _undecodable(path, f"decoded to shape {clip.shape}, not ({frames}, height, width, 3)")
    return np.asarray(clip, dtype=np.uint8)


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise UserError(
            f"{path}: there is no such video file; put it there or drop it from the split"
        )
    if path.stat().st_size == 0:
        raise UserError(
            f"{path}: the file is empty (0 bytes); fetch it again or drop it from the split"
        )


def _undecodable(path: Path, reason: str) -> UserError:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    short = lines[0][:200] if lines else "no reason given"
    return UserError(
        f"{path}: cannot be decoded as video ({short}). It may be cut short, damaged or not a"
        " video; check it with `ffprobe`, fetch it again, re-encode it or drop it from the split"
    )
