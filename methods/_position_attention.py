"""Maps as sets of positions, and the relations of one set to another (CAN, MASTAF)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bench.method import FeatureShape

EPSILON = 1e-12
"""Shortest vector that is brought to unit length; `torch.nn.functional.normalize` has the same."""


class Positions(NamedTuple):
    """A video, or the prototype of a class, as a set of L positions."""

    maps: Tensor
    """(..., L, C)"""
    lengths: Tensor
    """(..., L): Euclidean length of each position's vector."""
    mean: Tensor
    """(..., C): mean of the positions' vectors, each brought to length 1."""
    attention: Tensor
    """(..., L): attention of the map to itself, ones where there is none."""
    pooled: Tensor
    """(..., C): sum of the positions, each times its attention."""

    def attended(self, attention: Tensor) -> "Positions":
        """Return the same map with another attention to itself, (..., L)."""
        return self._replace(attention=attention, pooled=weighted_sum(self.maps, attention))


def pooled_grid(shape: FeatureShape, positions: int) -> tuple[int, int, int]:
    """Frames, height and width of a grid with no more than ``positions``.

    Time is pooled first; space only where a single frame has too many positions.

    >>> pooled_grid(FeatureShape(96, 8, 6, 6), 49), pooled_grid(FeatureShape(96, 8, 1, 1), 49)
    ((1, 6, 6), (8, 1, 1))
    >>> pooled_grid(FeatureShape(768, 8, 14, 14), 49)
    (1, 7, 7)
    """
    _, frames, height, width = shape
    if height * width <= positions:
        return min(frames, positions // (height * width)), height, width
    rows = min(height, positions, max(1, math.isqrt(positions * height // width)))
    return 1, rows, min(width, positions // rows)


def as_positions(features: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(videos, C, T, H, W) -> averaged to the grid of L positions, (videos, L, C)."""
    if (1, *features.shape[3:]) == grid:
        # Most grids; as below, but a GPU adds the gradient in the same order every time.
        features = features.mean(dim=2, keepdim=True)
    elif features.shape[2:] != grid:
        features = functional.adaptive_avg_pool3d(features, grid)
    return features.flatten(2).transpose(1, 2).contiguous()


def without_attention(maps: Tensor) -> Positions:
    """(..., L, C) -> the same positions, all with attention 1."""
    lengths = torch.linalg.vector_norm(maps, dim=-1)
    mean = weighted_sum(maps, to_unit_length(lengths) / maps.shape[-2])
    return Positions(maps, lengths, mean, torch.ones_like(lengths), maps.sum(dim=-2))


def weighted_sum(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum of the positions of each map: (..., L, C) and (..., L) -> (..., C)."""
    return (weights.unsqueeze(-2) @ maps).squeeze(-2)


def to_unit_length(lengths: Tensor) -> Tensor:
    """Factors that bring vectors of these lengths to length 1."""
    return 1 / lengths.clamp(min=EPSILON)


def pooled_relations(own: Positions, other: Positions) -> Tensor:
    """Mean cosine of each position of ``other`` with all positions of ``own``.

    (episodes, A, L, C), (episodes, B, L, C) -> (episodes, A, B, L)

    The mean of the relation matrix p_i . q_j over i is (mean_i p_i) . q_j: no matrix is formed.
    """
    products = (other.maps.flatten(1, 2) @ own.mean.mT).mT
    apart: Tensor = products.unflatten(2, other.lengths.shape[1:])
    return apart * to_unit_length(other.lengths)[:, None]


def weighted_relations(own: Positions, other: Positions, kernel: Tensor) -> Tensor:
    """Cosines of each position of ``own`` with all of ``other``, averaged with the kernel.

    (episodes, A, L, C), (episodes, B, L, C), kernel (episodes, A, B, L) over the positions of
    ``other`` -> (episodes, A, B, L) over those of ``own``

    As above, mean_j w_j (p_i . q_j) is p_i . (mean_j w_j q_j).
    """
    weights = kernel * to_unit_length(other.lengths)[:, None] / other.maps.shape[2]
    context = weighted_sums(other.maps, weights)
    return position_products(own.maps, context) * to_unit_length(own.lengths)[:, :, None]


def position_products(maps: Tensor, vectors: Tensor) -> Tensor:
    """Inner products of each position of a map with the vectors that are held against it.

    maps (episodes, A, L, C), vectors (episodes, A, B, C) -> (episodes, A, B, L)
    """
    if maps.dtype is torch.float32:
        # Faster on CPUs by a third, and slower in bfloat16: which factor is copied into order.
        return (maps @ vectors.mT).mT
    return vectors @ maps.mT


def weighted_sums(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum the positions of each map once for each of the weights that others give them.

    maps (episodes, B, L, C), weights (episodes, A, B, L) -> (episodes, A, B, C)
    """
    return (weights.transpose(1, 2) @ maps).transpose(1, 2)
