"""Pooled videos with an order of their own, so that the shuffling of a support set is forgotten.

Some methods go through the support set video by video. Sorted by what is in the videos, the order
of classes and shots, which carries no meaning, cannot change a score.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Pooled(NamedTuple):
    """Videos as one vector each, and what they are sorted by."""

    vectors: Tensor
    """(..., C)"""
    rank: Tensor
    """(...): mean over the channels, in single precision at least, so that it rarely ties."""


def pool(features: Tensor) -> Pooled:
    """(videos, C, T, H, W) -> mean vectors (videos, C) and their means (videos,)."""
    vectors = features.mean(dim=(2, 3, 4))
    precision = torch.promote_types(vectors.dtype, torch.float32)
    return Pooled(vectors, vectors.mean(dim=-1, dtype=precision))


def content_order(support: Pooled) -> Tensor:
    """(episodes, way, shot) -> videos in the order of their mean, int64 (episodes, way * shot)."""
    return support.rank.flatten(1).argsort(dim=1, stable=True)


def reorder(videos: Tensor, order: Tensor) -> Tensor:
    """(episodes, videos, C) -> the videos in the given order."""
    return videos.gather(1, order[..., None].expand_as(videos))


def undo(videos: Tensor, order: Tensor) -> Tensor:
    """(episodes, videos, C) in the given order -> as they were before `reorder`."""
    return reorder(videos, order.argsort(dim=1))
