"""Frames of one video attending to frames of another, as both alignments of TA2N do it."""

import math

from torch import Tensor


def frame_means(maps: Tensor) -> Tensor:
    """(..., T, H, W, C) -> mean over each frame, (..., T, C)."""
    return maps.mean(dim=(-3, -2))


def frame_shares(asking: Tensor, asked: Tensor) -> Tensor:
    """(..., T, C) and (..., Ts, C) -> shares of the asked frames, (..., T, Ts)."""
    likeness = asking @ asked.mT / math.sqrt(asking.shape[-1])
    return likeness.softmax(dim=-1)
