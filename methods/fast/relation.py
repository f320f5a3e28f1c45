"""Relation networks with the first convolution taken once for each video, not for each pair.

A convolution over two maps put together is the sum of one over each. So `encode` takes both, a
prototype is the mean of its shots' halves, and for a pair a sum is left to do. Many small maps are
pooled by comparing slices, for which torch's own pooling takes ten times as long.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from bench.method import register
from methods.relation import RelationNet


class Halves(NamedTuple):
    """The first convolution of a map, as either half of a pair: (..., C, H', W') each."""

    of_class: Tensor
    of_query: Tensor


@register
class FastRelationNet(RelationNet):
    """Relation networks with the first convolution taken once for each video."""

    accelerates = "relation-net"

    def encode(self, features: Tensor) -> Halves:
        """(videos, C, T, H, W) -> both halves, videos first."""
        maps, first = features.mean(dim=2), self.first
        of_class, of_query = first.weight.chunk(2, dim=1)
        return Halves(
            conv2d(maps, of_class, padding=first.padding),
            conv2d(maps, of_query, first.bias, padding=first.padding),
        )

    def adapt(self, support: Halves) -> Tensor:
        """(episodes, way, shot, ...) -> mean halves of the classes, (episodes, way, C, H', W')."""
        return support.of_class.mean(dim=2)

    def score(self, prototypes: Tensor, query: Halves) -> Tensor:
        """(episodes, queries, ...) -> relation scores (episodes, queries, way)."""
        pairs = prototypes.unsqueeze(1) + query.of_query.unsqueeze(2)
        return self.relate(pairs.flatten(0, 2)).view(pairs.shape[:3])

    def pool(self, maps: Tensor, size: int) -> Tensor:
        """Pool to ``size`` where a map has one position more, or by 2, by comparing slices."""
        to_size = self.settings.form == "easyfsl"
        if self.training or (to_size and maps.shape[2:] != (size + 1, size + 1)):
            return super().pool(maps, size)
        for dim in (2, 3):
            if to_size:
                maps = torch.maximum(maps.narrow(dim, 0, size), maps.narrow(dim, 1, size))
            elif maps.shape[dim] > 1:
                maps = torch.maximum(*maps.unfold(dim, 2, 2).unbind(-1))
        return maps
