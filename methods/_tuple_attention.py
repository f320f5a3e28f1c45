"""TRX's attention between tuples of frames, worked out on the frames that make them up.

A tuple's key and value are linear in its frames: sums of *parts*, one for each place in the tuple
and each frame that can stand there. 56 triples of 8 frames have 18 parts. So inner products are
taken between parts, and those of tuples are sums of them: an eighth of the operations, or less.
"""

import math

import torch
from torch import Tensor, nn

from methods._precision import wide
from methods._products import inner_products
from methods._tuple_parts import TupleParts, membership, project_parts
from methods.parts.positions import usual_table
from methods.parts.tuples import POSITION_SCALE, tuple_index, tuple_width

CACHED = 1 << 20
"""Bytes of logits that are worked on at once on a CPU: what the cache of one core holds."""
LARGEST_EXPONENT = 80.0
"""exp(80) and exp(-80) are inside the range of numbers of four bytes, and of bfloat16."""


class TupleAttention(nn.Module):
    """Keys and values of tuples of one size, and scores by the attention between them."""

    index: Tensor
    member: Tensor

    def __init__(self, frames: int, channels: int, cardinality: int, width: int | None) -> None:
        """Build it for tuples of ``cardinality``, or as many frames as there are if fewer."""
        super().__init__()
        self.cardinality = min(cardinality, frames)
        width = tuple_width(width, self.cardinality, channels)
        self.register_buffer("index", tuple_index(frames, self.cardinality), persistent=False)
        self.register_buffer("member", membership(frames, self.cardinality), persistent=False)
        self.key = nn.Linear(self.cardinality * channels, width)
        self.value = nn.Linear(self.cardinality * channels, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Tensor) -> TupleParts:
        """(videos, T, C) -> its tuples, videos first."""
        positions = usual_table(frames.shape[1], frames.shape[2], like=frames)
        frames = self.dropout(frames + POSITION_SCALE * positions)
        values = project_parts(frames, self.value.weight, self.cardinality)
        energy = wide(self.member @ values).square().sum(dim=-1).mean(dim=-1)
        keys, scale, offset = self._keys(frames)
        return TupleParts(keys, values, scale, offset, energy)

    def _keys(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, scale and offset of the tuples."""
        raw = project_parts(frames, self.key.weight, self.cardinality)
        raw = raw + self.key.bias / self.cardinality
        centred = raw - raw.mean(dim=-1, keepdim=True)
        tuples = wide(self.member @ centred)
        deviation = (tuples.square().mean(dim=-1) + self.norm.eps).sqrt()
        root = tuples.shape[-1] ** -0.25
        scale = root / deviation
        offset = root * scale * (tuples @ wide(self.norm.weight * self.norm.bias))
        keys = centred * self.norm.weight
        return keys, scale.to(keys.dtype), offset.to(keys.dtype)

    def scores(self, support: TupleParts, query: TupleParts) -> Tensor:
        """Minus mean squared distance of query tuples to what the class mixes for each of them.

        Args:
            support: each (episodes, way, shot, ...).
            query: each (episodes, queries, ...).

        Returns:
            (episodes, queries, way)
        """
        tuples = len(self.member)
        bounded = self._bounded(support.scale.shape[2] * tuples)
        mixture = _mixture(support, query, self.member, bounded)
        with_query = _summed_products(support, query, self.member.mT @ mixture.flatten(3))
        own = _summed_squares(support, mixture)
        return (2 * with_query - own) / tuples - query.energy.unsqueeze(-1)

    def _bounded(self, tuples: int) -> bool:
        """Whether exponentials of logits and sums of so many are finite and not zero as they are.

        On a CPU a softmax takes four times as long. A GPU would have to be waited for to know.
        """
        if self.norm.weight.device.type != "cpu":
            return False
        weight, bias = self.norm.weight.detach(), self.norm.bias.detach()
        # Of two vectors as long as the root of their width, over that root; and of the offset.
        largest = weight.square().amax() * len(weight) ** 0.5 + (weight * bias).norm()
        return float(largest) + math.log(tuples) <= LARGEST_EXPONENT


def _products(query: Tensor, support: Tensor) -> Tensor:
    """Inner products of all parts, (episodes, queries, parts, way, shot, parts).

    (episodes, queries, parts, width) and (episodes, way, shot, parts, width)
    """
    products = inner_products(query.flatten(1, 2), support.flatten(1, 3))
    return products.reshape(*query.shape[:3], *support.shape[1:4])


def _mixture(support: TupleParts, query: TupleParts, member: Tensor, bounded: bool) -> Tensor:
    """How much of a class's parts is in what it mixes for a query tuple.

    (episodes, queries, tuples, way, shot, parts)
    """
    factors = _factors_of_logits(support, query, member)
    way, shot, tuples = support.scale.shape[1:]
    # A part that all tuples have adds up exponentials.
    parts = torch.cat([member, torch.ones_like(member[:, :1])], dim=1) if bounded else member

    def mixed(*factors: Tensor) -> Tensor:
        logits = torch.baddbmm(*factors).unflatten(-1, (way, -1))
        shares = logits.exp_() if bounded else logits.softmax(dim=-1)
        mixtures: Tensor = shares.reshape(-1, tuples) @ parts
        return mixtures

    step = _at_once(factors[1], factors[2])
    pieces = zip(*(factor.split(step) for factor in factors), strict=True)
    found = torch.cat([mixed(*piece) for piece in pieces])
    found = found.reshape(*query.scale.shape, way, shot, -1)
    if not bounded:
        return found
    sums, total = found[..., :-1], found[..., -1:]
    if shot > 1:
        total = total.sum(dim=-2, keepdim=True)
    if total.dtype.itemsize < 4:
        total = total.expand_as(sums).contiguous()  # Short rows over one number take twice as long.
    return sums / total


def _at_once(rows: Tensor, columns: Tensor) -> int:
    """Queries whose products of rows and columns fit into a CPU's cache; all of them elsewhere."""
    if rows.device.type != "cpu":
        return len(rows)
    size = rows.shape[1] * columns.shape[2] * rows.itemsize
    return max(1, CACHED // size)


def _factors_of_logits(
    support: TupleParts, query: TupleParts, member: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the attention are the first plus the second times the third.

    What adds the same to all logits of a query tuple is left out.

    Returns:
        each (episodes * queries, tuples or parts, tuples or parts), the first (..., 1, tuples); the
        tuples that come last are those of all ways and shots.
    """
    columns = _products(query.keys, support.keys) @ member.mT
    columns = columns * support.scale[:, None, None]
    rows = member * query.scale.unsqueeze(-1)
    # To begin with the offsets saves going through all logits once more.
    begin = support.offset.flatten(1)[:, None, None].expand(-1, query.scale.shape[1], -1, -1)
    return begin.flatten(0, 1), rows.flatten(0, 1), columns.flatten(3).flatten(0, 1)


def _summed_products(support: TupleParts, query: TupleParts, weights: Tensor) -> Tensor:
    """Sum over tuples of the product of a query's value and the mixture: (episodes, queries, way).

    weights: (episodes, queries, parts, way * shot * parts), of the mixtures that a part is in.
    """
    products = wide(_products(query.values, support.values)).flatten(4)
    return (products * weights.reshape(products.shape)).sum(dim=(2, 4))


def _summed_squares(support: TupleParts, mixture: Tensor) -> Tensor:
    """Sum over tuples of the squared length of the mixture: (episodes, queries, way).

    mixture: (episodes, queries, tuples, way, shot, parts), weights of the class's parts.

    Of weights m_t and the parts' inner products G it is the sum of (sum_t m_t m_t') * G.
    """
    values = support.values.flatten(2, 3)
    weights = mixture.flatten(4).transpose(2, 3).contiguous()
    both = wide(weights.mT @ weights)
    return (both * wide(values @ values.mT).unsqueeze(1)).sum(dim=(3, 4))
