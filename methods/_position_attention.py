"""Maps as sets of positions, and attention of one set to another (CAN, MASTAF)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
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
    attention: Tensor
    """(..., L): attention of the map to itself, ones where there is none."""


class MetaLearner(nn.Module):
    """Makes a kernel over positions from the relations, pooled to one number a position."""

    def __init__(self, positions: int, hidden: int) -> None:
        """Two linear maps, initialised as the authors do: N(0, sqrt(2 / outputs))."""
        super().__init__()
        self.squeeze = nn.Linear(positions, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Linear(hidden, positions)
        for layer in (self.squeeze, self.expand):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))

    def forward(self, pooled: Tensor, normalise: bool = True) -> Tensor:
        """(..., L) -> (..., L)."""
        hidden = self.squeeze(pooled.reshape(-1, pooled.shape[-1]))
        # A single map has no batch statistics to be trained with.
        if normalise and not (self.training and len(hidden) == 1):
            hidden = self.norm(hidden)
        kernel: Tensor = self.expand(functional.relu(hidden))
        return kernel.reshape(pooled.shape)


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
    if features.shape[2:] != grid:
        features = functional.adaptive_avg_pool3d(features, grid)
    return features.flatten(2).transpose(1, 2).contiguous()


def without_attention(maps: Tensor) -> Positions:
    """(..., L, C) -> the same positions, all with attention 1."""
    lengths = torch.linalg.vector_norm(maps, dim=-1)
    return Positions(maps, lengths, torch.ones_like(lengths))


def to_unit_length(lengths: Tensor) -> Tensor:
    """Factors that bring vectors of these lengths to length 1."""
    return 1 / lengths.clamp(min=EPSILON)


def pooled_relations(own: Positions, other: Positions) -> Tensor:
    """Mean cosine of each position of ``other`` with all positions of ``own``.

    (episodes, A, L, C), (episodes, B, L, C) -> (episodes, A, B, L)

    The mean of the relation matrix p_i . q_j over i is (mean_i p_i) . q_j: no matrix is formed.
    """
    weights = to_unit_length(own.lengths) / own.maps.shape[2]
    mean = (weights.unsqueeze(2) @ own.maps).squeeze(2)
    products = mean @ other.maps.flatten(1, 2).mT
    return products.unflatten(2, other.lengths.shape[1:]) * to_unit_length(other.lengths)[:, None]


def weighted_relations(own: Positions, other: Positions, kernel: Tensor) -> Tensor:
    """Cosines of each position of ``own`` with all of ``other``, averaged with the kernel.

    (episodes, A, L, C), (episodes, B, L, C), kernel (episodes, A, B, L) over the positions of
    ``other`` -> (episodes, A, B, L) over those of ``own``

    As above, mean_j w_j (p_i . q_j) is p_i . (mean_j w_j q_j).
    """
    weights = kernel * to_unit_length(other.lengths)[:, None] / other.maps.shape[2]
    context = weighted_sums(other.maps, weights)
    products = context @ own.maps.mT
    return products * to_unit_length(own.lengths)[:, :, None]


def weighted_sums(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum the positions of each map once for each of the weights that others give them.

    maps (episodes, B, L, C), weights (episodes, A, B, L) -> (episodes, A, B, C)
    """
    return (weights.transpose(1, 2) @ maps).transpose(1, 2)


def pooled_cosines(query: Positions, attention: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines of pooled attended queries with pooled prototypes.

    Args:
        query: maps (episodes, queries, L, C).
        attention: (episodes, way or 1, queries, L).
        prototypes: (episodes, way, queries or 1, C).

    Returns:
        (episodes, way, queries)
    """
    return functional.cosine_similarity(
        weighted_sums(query.maps, attention), prototypes, dim=-1, eps=EPSILON
    )


def position_cosines(query: Positions, attention: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines of every single attended query position with pooled prototypes.

    Arguments as for `pooled_cosines`; returns (episodes, way, queries, L). Attention cancels in
    it, but where it makes a vector shorter than the shortest that is brought to unit length.
    """
    directions = functional.normalize(prototypes, dim=-1).expand(-1, -1, query.maps.shape[1], -1)
    products = (directions.transpose(1, 2) @ query.maps.mT).transpose(1, 2)
    lengths = attention * query.lengths[:, None]
    return products * attention * to_unit_length(lengths)


def position_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at every position, averaged over positions and queries.

    (episodes, queries, classes, L), (episodes, queries) -> ()
    """
    targets = labels.flatten()[:, None].expand(-1, logits.shape[-1])
    return functional.cross_entropy(logits.flatten(0, 1), targets)
