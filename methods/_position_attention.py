"""Maps as sets of positions, and the relations of one set to another (CAN, MASTAF)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bench.method import FeatureShape
from methods._products import inner_products

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
    squeezed: Tensor
    """(..., hidden, C): what a meta-learner's first layer makes of the positions' directions."""
    expanded: Tensor
    """(..., hidden + 1, C): what its second layer does, over L; last what its bias does. Both have
    no rows where there is no meta-learner."""

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
    if features.shape[2:] == grid:
        pass
    elif (1, *features.shape[3:]) == grid:
        # Most grids; as below, but a GPU adds the gradient in the same order every time.
        features = features.mean(dim=2, keepdim=True)
    else:
        features = functional.adaptive_avg_pool3d(features, grid)
    return features.flatten(2).transpose(1, 2).contiguous()


def without_attention(maps: Tensor) -> Positions:
    """(..., L, C) -> the same positions, all with attention 1."""
    lengths = torch.linalg.vector_norm(maps, dim=-1)
    mean = weighted_sum(maps, to_unit_length(lengths) / maps.shape[-2])
    none = maps[..., :0, :]
    return Positions(maps, lengths, mean, torch.ones_like(lengths), maps.sum(dim=-2), none, none)


def without_pieces(positions: Positions) -> Positions:
    """Return the same without what others' attention to it takes: 13 vectors of C."""
    none = positions.maps[..., :0, :]
    return positions._replace(squeezed=none, expanded=none)


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
    products = inner_products(own.mean, other.maps.flatten(1, 2))
    apart: Tensor = products.unflatten(2, other.lengths.shape[1:])
    return apart * to_unit_length(other.lengths)[:, None]


def mean_kernel(own: Positions, other: Positions) -> Tensor:
    """The pooled relations as weights of the positions of ``other``: (episodes, A, B, L).

    Over the positions' lengths and L, so that weighted sums of positions are means of directions.
    """
    weights = pooled_relations(own, other) / other.maps.shape[2]
    return weights * to_unit_length(other.lengths)[:, None]


def weighted_relations(own: Positions, vectors: Tensor, weights: Tensor) -> Tensor:
    """Products of each position of ``own``, at length 1, with a weighted sum of vectors.

    (episodes, A, L, C), R vectors of each other video (episodes, B, R, C) and their weights
    (episodes, A, B, R) -> (episodes, A, B, L)

    As above, sum_r w_r (p_i . v_r) is p_i . (sum_r w_r v_r), which takes fewer operations. Of few
    vectors, with numbers of two bytes, the first is nevertheless faster: it is one large product.
    """
    if vectors.dtype.itemsize < 4 and vectors.shape[2] < own.maps.shape[2]:
        products = inner_products(own.maps.flatten(1, 2), vectors.flatten(1, 2))
        apart = products.unflatten(2, vectors.shape[1:3]).unflatten(1, own.lengths.shape[1:])
        scores: Tensor = (apart * weights.unsqueeze(2)).sum(dim=-1).mT
    else:
        scores = position_products(own.maps, weighted_sums(vectors, weights))
    return scores * to_unit_length(own.lengths)[:, :, None]


def position_products(maps: Tensor, vectors: Tensor) -> Tensor:
    """Inner products of each position of a map with the vectors that are held against it.

    maps (episodes, A, L, C), vectors (episodes, A, B, C) -> (episodes, A, B, L)
    """
    if maps.dtype is torch.float32:
        # Faster on CPUs by a third, and slower in bfloat16: which factor is copied into order.
        return (maps @ vectors.mT).mT
    return vectors @ maps.mT


def weighted_sums(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum the vectors of each video once for each of the weights that others give them.

    maps (episodes, B, L, C), weights (episodes, A, B, L) -> (episodes, A, B, C)
    """
    return (weights.transpose(1, 2) @ maps).transpose(1, 2)
