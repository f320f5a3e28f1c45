"""TRX, quicker: inner products of tuples are sums of inner products of their frames.

A value is linear in the frames of its tuple, and so is a key before its normalisation. Both are
sums of *parts*: one for each place in the tuple and each frame that can stand there. 56 triples of
8 frames have 18 parts. So inner products, which are nearly all of the work, are taken between the
parts of a query and of a class, 18 by 18 and not 56 by 56, and are added up for the tuples.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from bench.method import register
from methods.parts.positions import usual_positions
from methods.parts.tuple_attention import TupleAttention, Tuples
from methods.trx import TRX


class Parts(NamedTuple):
    """Tuples of a video's frames, in parts."""

    keys: Tensor
    """(..., parts, d): sums over a tuple's parts are w (k - mean(k)), for a key k and the weight w
    of the layer normalisation."""
    values: Tensor
    """(..., parts, d)"""
    scale: Tensor
    """(..., tuples): 1 / (standard deviation of k), and over the fourth root of d."""
    offset: Tensor
    """(..., tuples): what the bias of the layer normalisation adds to the logits of a tuple."""
    energy: Tensor
    """(...): mean squared length of the tuples' values."""


class FastTupleAttention(TupleAttention):
    """Attention between parts of tuples."""

    member: Tensor

    def __init__(self, frames: int, channels: int, cardinality: int, width: int | None) -> None:
        super().__init__(frames, channels, cardinality, width)
        # Place p sees frames p, p + 1, ...: part p * steps holds the first of them.
        self.steps = frames - self.cardinality + 1
        part = self.index + (self.steps - 1) * torch.arange(self.cardinality)
        member = torch.zeros(len(part), self.cardinality * self.steps).scatter_(1, part, 1.0)
        self.register_buffer("member", member, persistent=False)

    def forward(self, frames: Tensor) -> Parts:
        """(videos, T, C) -> its tuples, in parts."""
        frames = self.dropout(usual_positions(frames))
        keys = self._parts(frames, self.key.weight) + self.key.bias / self.cardinality
        keys = keys - keys.mean(dim=-1, keepdim=True)
        tuples = self.member @ keys
        root = tuples.shape[-1] ** -0.25
        scale = root / (tuples.square().mean(dim=-1) + self.norm.eps).sqrt()
        offset = root * scale * (tuples @ (self.norm.weight * self.norm.bias))
        values = self._parts(frames, self.value.weight)
        energy = (self.member @ values).square().sum(dim=-1).mean(dim=-1)
        return Parts(keys * self.norm.weight, values, scale, offset, energy)

    def scores(self, support: Tuples, query: Tuples) -> Tensor:
        """Minus the mean of |u_p - t_p|^2 = |u_p|^2 - 2 u_p . t_p + |t_p|^2 over query tuples p."""
        s, q, member = Parts(*support), Parts(*query), self.member
        way, shot, tuples = s.scale.shape[1:]
        # Logits of query tuples (rows) with support tuples (columns), as a product of matrices over
        # the query's parts. What adds the same to a whole row is left out.
        columns = _products(q.keys, s.keys) @ member.mT * s.scale[:, None, None]
        rows = member * q.scale.unsqueeze(-1)
        logits = rows @ columns.flatten(3) + s.offset.flatten(1)[:, None, None]
        a = logits.unflatten(-1, (way, -1)).softmax(dim=-1)
        # How much of each part of a class is in the prototype t_p: (..., tuples, way, shot, parts).
        mixed = a.unflatten(-1, (shot, tuples)) @ member
        with_query = _products(q.values, s.values) * (member.mT @ mixed.flatten(3)).reshape(
            *q.values.shape[:3], *s.values.shape[1:4]
        )
        # Of the parts' weights m_p and inner products G: sum of m_p' G m_p = sum of (m_p m_p') * G.
        weights, values = mixed.flatten(4).transpose(2, 3), s.values.flatten(2, 3)
        own = (weights.mT @ weights) * (values @ values.mT).unsqueeze(1)
        sums = 2 * with_query.sum(dim=(2, 4, 5)) - own.sum(dim=(3, 4))
        return sums / tuples - q.energy.unsqueeze(-1)

    def _parts(self, frames: Tensor, weight: Tensor) -> Tensor:
        """Apply to each frame the columns that its place in a tuple has: (videos, parts, d)."""
        columns = weight.reshape(len(weight), self.cardinality, -1).unbind(dim=1)
        return torch.cat(
            [linear(frames[:, p : p + self.steps], piece) for p, piece in enumerate(columns)], dim=1
        )


def _products(query: Tensor, support: Tensor) -> Tensor:
    """Inner products of all parts, (episodes, queries, parts, way, shot, parts)."""
    products = query.flatten(1, 2) @ support.flatten(1, 3).mT
    return products.reshape(*query.shape[:3], *support.shape[1:4])


@register
class FastTRX(TRX):
    """TRX with the attention between parts of tuples."""

    accelerates = "trx"
    attention = FastTupleAttention
