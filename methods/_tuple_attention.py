"""TRX's attention between tuples of frames, worked out on the frames that make them up.

A tuple's key and value are linear in its frames: sums of *parts*, one for each place in the tuple
and each frame that can stand there. 56 triples of 8 frames have 18 parts. So inner products are
taken between parts, and those of tuples are sums of them: an eighth of the operations, or less.
"""

import torch
from torch import Tensor, nn

from methods._positions import usual_table
from methods._tuple_parts import TupleParts, membership, project_parts
from methods._tuples import POSITION_SCALE, tuple_index, tuple_width


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
        mixture = _shares(support, query, self.member) @ self.member
        tuples = len(self.member)
        with_query = _summed_products(support, query, self.member.mT @ mixture.flatten(3))
        own = _summed_squares(support, mixture)
        return (2 * with_query - own) / tuples - query.energy.unsqueeze(-1)


def wide(values: Tensor) -> Tensor:
    """Give values at least four bytes: sums of squares need them."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _products(query: Tensor, support: Tensor) -> Tensor:
    """Inner products of all parts, (episodes, queries, parts, way, shot, parts).

    (episodes, queries, parts, width) and (episodes, way, shot, parts, width)
    """
    products = query.flatten(1, 2) @ support.flatten(1, 3).mT
    return products.reshape(*query.shape[:3], *support.shape[1:4])


def _shares(support: TupleParts, query: TupleParts, member: Tensor) -> Tensor:
    """Attention of each query tuple to a class's: (episodes, queries, tuples, way, shot, tuples).

    What adds the same to all logits of a query tuple is left out.
    """
    columns = _products(query.keys, support.keys) @ member.mT
    rows = (member * query.scale.unsqueeze(-1)) @ columns.flatten(3)
    offset, scale = (each.flatten(1)[:, None, None] for each in (support.offset, support.scale))
    logits = torch.addcmul(offset, rows, scale)
    shares = logits.reshape(*rows.shape[:3], support.scale.shape[1], -1).softmax(dim=-1)
    apart: Tensor = shares.unflatten(-1, support.scale.shape[2:])
    return apart


def _summed_products(support: TupleParts, query: TupleParts, weights: Tensor) -> Tensor:
    """Sum over tuples of the product of a query's value and the mixture: (episodes, queries, way).

    weights: (episodes, queries, parts, way * shot * parts), of the mixtures that a part is in.
    """
    products = wide(_products(query.values, support.values)).flatten(4)
    return (products * weights.reshape(products.shape)).sum(dim=(2, 4))


def _summed_squares(support: TupleParts, mixture: Tensor) -> Tensor:
    """Sum over tuples of the squared length of the mixture: (episodes, queries, way).

    mixture: (episodes, queries, tuples, way, shot, parts), weights of the class's parts.
    """
    values = support.values.flatten(2, 3)
    weights = mixture.flatten(4).permute(0, 3, 1, 2, 4)
    times_gram = (weights.flatten(2, 3) @ (values @ values.mT)).reshape(weights.shape)
    return (wide(weights) * times_gram).sum(dim=(3, 4)).mT
