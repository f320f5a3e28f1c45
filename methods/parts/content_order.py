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
    """Order of the videos of each support set by their mean feature.

    support (episodes, way, shot, ...) -> int64 (episodes, way * shot), for `reorder`
    """
    return support.rank.flatten(1).argsort(dim=1, stable=True)


def reorder(videos: Tensor, order: Tensor) -> Tensor:
    """(episodes, videos, C) -> the videos in the given order."""
    return videos.gather(1, order[..., None].expand_as(videos))


def undo(videos: Tensor, order: Tensor) -> Tensor:
    """(episodes, videos, C) in the given order -> as they were before `reorder`.

    >>> letters, order = torch.tensor([[[7], [5], [6]]]), torch.tensor([[1, 2, 0]])
    >>> reorder(letters, order).flatten().tolist()
    [5, 6, 7]
    >>> undo(reorder(letters, order), order).flatten().tolist()
    [7, 5, 6]
    """
    return reorder(videos, order.argsort(dim=1))
