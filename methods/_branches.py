"""The ways in which MASTAF compares queries with classes: cosines of attended maps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from methods._position_attention import Positions, to_unit_length, weighted_sums
from methods._products import inner_products


class Branch(NamedTuple):
    """One way to compare queries with classes; 1 stands for what a branch does not look at."""

    weight: float
    attention: Tensor
    """(episodes, way or 1, queries, L): factor of each position of the query."""
    prototype: Tensor
    """(episodes, way, queries or 1, C): the attended map of the class, pooled."""
    pooled: Tensor | None = None
    """(episodes, way or 1, queries, C): the attended map of the query, pooled, if it is known."""

    def pooled_cosines(self, query: Positions) -> Tensor:
        """Cosines of pooled attended queries with pooled prototypes.

        Maps (episodes, queries, L, C) -> (episodes, way, queries)
        """
        pooled = self.pooled
        if pooled is None:
            pooled = weighted_sums(query.maps, self.attention)
        # Lengths are taken off at the end: no map is divided by its own, which moves it once more.
        lengths = (torch.linalg.vector_norm(one, dim=-1) for one in (pooled, self.prototype))
        of_query, of_class = map(to_unit_length, lengths)
        return self._inner_products(pooled) * of_query * of_class

    def _inner_products(self, pooled: Tensor) -> Tensor:
        """Of pooled queries (episodes, way or 1, queries, C) and prototypes, as cosines are."""
        if pooled.shape[1] == self.prototype.shape[2] == 1:
            return inner_products(self.prototype[:, :, 0], pooled[:, 0])
        return (pooled * self.prototype).sum(dim=-1)

    def position_cosines(self, query: Positions) -> Tensor:
        """Cosines of every single attended query position with pooled prototypes.

        Maps (episodes, queries, L, C) -> (episodes, way, queries, L). Attention cancels in it,
        but where it makes a vector shorter than the shortest that is brought to unit length.
        """
        queries = query.maps.shape[1]
        directions = normalize(self.prototype, dim=-1).expand(-1, -1, queries, -1)
        products = (directions.transpose(1, 2) @ query.maps.mT).transpose(1, 2)
        lengths = self.attention * query.lengths[:, None]
        return products * self.attention * to_unit_length(lengths)

    def attended_with(self, query: Positions, labels: Tensor) -> Tensor:
        """Maps of queries, attended with one class each: (episodes, queries, L, C).

        ``labels``: (episodes, queries), the way whose attention is taken.
        """
        # Self-attention is the same for all classes, so that it has only one entry to pick.
        way = labels.clamp(max=self.attention.shape[1] - 1)
        index = way[:, None, :, None].expand(-1, 1, -1, self.attention.shape[-1])
        return query.maps * self.attention.gather(1, index)[:, 0, :, :, None]


def pooled_scores(branches: Sequence[Branch], query: Positions) -> Tensor:
    """Weighted sum of the branches' cosines of whole maps, (episodes, queries, way)."""
    return _weighted_sum(branches, [branch.pooled_cosines(query) for branch in branches])


def position_scores(branches: Sequence[Branch], query: Positions) -> Tensor:
    """The same at every position of the query, (episodes, queries, way, L)."""
    return _weighted_sum(branches, [branch.position_cosines(query) for branch in branches])


def position_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at every position, averaged over positions and queries.

    (episodes, queries, classes, L), (episodes, queries) -> ()
    """
    targets = labels.flatten()[:, None].expand(-1, logits.shape[-1])
    return cross_entropy(logits.flatten(0, 1), targets)


def _weighted_sum(branches: Sequence[Branch], cosines: Sequence[Tensor]) -> Tensor:
    """Cosines (episodes, way, queries, ...) -> (episodes, queries, way, ...)."""
    weighted = [branch.weight * own for branch, own in zip(branches, cosines, strict=True)]
    return torch.stack(weighted).sum(dim=0).transpose(1, 2)
