"""The CrossTransformer of TRX, with which STRM ends too: a query's tuples of frames, and a class's.

The letters are those of TRX's paper (Perrett et al., CVPR 2021): Q_p is a tuple of the query, S_km
the tuple m of the support video k of a class, d the width, L a layer normalisation.
"""

import math

import torch
from torch import Tensor, nn

from methods.parts.positions import usual_positions
from methods.parts.tuples import project_tuples, tuple_index, tuple_width

Tuples = tuple[Tensor, ...]
"""Tuples of videos as the attention sees them: their keys and their values, (..., tuples, d)."""


class TupleAttention(nn.Module):
    """Attention between the tuples of one cardinality, over all support videos of a class."""

    index: Tensor

    def __init__(self, frames: int, channels: int, cardinality: int, width: int | None) -> None:
        super().__init__()
        self.cardinality = min(cardinality, frames)
        width = tuple_width(width, self.cardinality, channels)
        self.register_buffer("index", tuple_index(frames, self.cardinality), persistent=False)
        self.key = nn.Linear(self.cardinality * channels, width)
        self.value = nn.Linear(self.cardinality * channels, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Tensor) -> Tuples:
        """(videos, T, C) -> keys and values of its tuples, each (videos, tuples, d)."""
        frames = self.dropout(usual_positions(frames))
        # One map makes the keys of support tuples and what query tuples search with.
        keys = self.norm(project_tuples(frames, self.index, self.key.weight, self.key.bias))
        # The values' bias cancels in u_p - t_p, as the weights of a prototype add up to 1.
        return keys, project_tuples(frames, self.index, self.value.weight)

    def scores(self, support: Tuples, query: Tuples) -> Tensor:
        """Minus the distance of a query to the prototypes that each class makes for its tuples.

        (episodes, way, shot, tuples, d), (episodes, queries, tuples, d) -> (episodes, queries, way)
        """
        s_keys, v = (part.flatten(2, 3) for part in support)  # (episodes, way, shot * tuples, d)
        q_keys, u = (part.flatten(1, 2) for part in query)  # (episodes, queries * tuples, d)
        # a_kmp = softmax over k and m of L(Gamma S_km) . L(Upsilon Q_p) / sqrt(d)
        a = (_products(q_keys, s_keys) / math.sqrt(s_keys.shape[-1])).softmax(dim=-1)
        # t_p = sum over k and m of a_kmp v_km is the prototype that a class makes for Q_p. Its
        # distance |u_p - t_p|^2 = |u_p|^2 - 2 u_p . t_p + |t_p|^2 needs inner products alone.
        u_t = (a * _products(u, v)).sum(dim=-1)
        t_t = torch.einsum("epnk,enkl,epnl->epn", a, v @ v.mT, a)
        u_u = torch.linalg.vector_norm(u, dim=-1, keepdim=True).square()
        distances = u_u - 2 * u_t + t_t
        # The code takes the mean over p of |u_p - t_p|^2, the paper that of |u_p - t_p|.
        return -distances.unflatten(1, query[0].shape[1:3]).mean(dim=2)


def _products(query: Tensor, support: Tensor) -> Tensor:
    """Inner products: (episodes, P, d), (episodes, way, M, d) -> (episodes, P, way, M)."""
    return (query @ support.flatten(1, 2).mT).unflatten(2, support.shape[1:3])
