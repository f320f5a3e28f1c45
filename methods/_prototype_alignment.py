"""ATA's two scores of videos against prototypes, frame by frame, and its refinement's loss."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SHARPNESS = 5.0
"""Factor of both scores before the softmax over the classes."""
TINY = 1e-12
"""Added in logarithms."""


class Prototypes(NamedTuple):
    """What an episode's support videos taught."""

    frames: Tensor
    """(episodes, way, T, C)"""
    scale: Tensor
    """(episodes,)"""


def frame_likeness(prototypes: Prototypes, videos: Tensor) -> Tensor:
    """Scaled cosines of (episodes, videos, T, C) with all prototypes' frames.

    Returns (episodes, videos, T, way, T): a frame of a video, then a frame of a class.
    """
    products = videos.flatten(1, 2) @ prototypes.frames.flatten(1, 2).mT
    scaled = products * prototypes.scale[:, None, None]
    return scaled.reshape(*videos.shape[:3], *prototypes.frames.shape[1:3])


def alignment_scores(prototypes: Prototypes, query: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Appearance and temporal score of (episodes, queries, T, C), each (episodes, queries, way)."""
    likeness = frame_likeness(prototypes, query)
    attention = likeness.softmax(dim=-1)
    prior = expected_alignment(attention, sigma).unsqueeze(1)
    divergence = (attention * (attention / prior + TINY).log()).sum(dim=-1).mean(dim=2)
    return SHARPNESS * appearance(likeness), SHARPNESS * (2 - divergence)


def appearance(likeness: Tensor) -> Tensor:
    """Smooth maximum over a class's frames, mean over a video's: (..., T, way, T) -> (..., way)."""
    return likeness.logsumexp(dim=-1).mean(dim=-2)


def expected_alignment(like: Tensor, sigma: float) -> Tensor:
    """Share of each prototype frame in each frame of a video at the same speed, (T, T).

    A normal distribution around the same time, whose variance is 2 squared frames of 8.
    """
    frames = like.shape[-1]
    time = torch.arange(frames, dtype=like.dtype, device=like.device) / frames
    distance = (time[:, None] - time) / math.sqrt(2 / 64)
    return (-distance.square() / (2 * sigma**2)).softmax(dim=-1)


def support_loss(prototypes: Prototypes, support: Tensor) -> Tensor:
    """What the refinement makes small, for each episode: (episodes,).

    Cross-entropy of the support videos' appearance; each frame is to look at few frames of its
    own class, and all frames together at many. ``support`` is (episodes, way, shot, T, C).
    """
    likeness = frame_likeness(prototypes, support.flatten(1, 2))
    likeness = likeness.reshape(*support.shape[:4], *likeness.shape[3:])
    entropy = -appearance(likeness).log_softmax(dim=-1).diagonal(dim1=1, dim2=3)
    # From here on (episodes, shot, T, T, way): only a video's own class.
    attention = likeness.diagonal(dim1=1, dim2=4).softmax(dim=3)
    single = entropy_of(attention, dim=3).mean(dim=2)
    together = entropy_of(attention.mean(dim=2), dim=2)
    return (entropy + 0.1 * single - together).mean(dim=(1, 2))


def entropy_of(shares: Tensor, dim: int) -> Tensor:
    """Entropy of shares along ``dim``, which falls away."""
    return -(shares * (shares + TINY).log()).sum(dim=dim)
