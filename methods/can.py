"""CAN: cross-attention between maps; MASTAF without its self branch, and its ancestor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.method import register
from methods._map_attention import MastafSettings
from methods._position_attention import Positions
from methods.mastaf import Mastaf


@dataclass(frozen=True)
class CanSettings(MastafSettings):
    """MASTAF's settings where CAN has them, too, and what its transductive form adds."""

    branches: Literal["both", "self", "cross", "none"] = "cross"
    fraction: float = 35 / 75
    """Of the queries that join the support set in the first round, twice as many in the second."""


@register
class Can(Mastaf):
    """Compare maps whose positions were weighted by attention to each other."""

    name = "can"
    revision = 1
    source = (
        "Hou, Chang, Ma, Shan, Chen, NeurIPS 2019, arXiv:1910.07677; code blue-blue272/"
        "fewshot-CAN at 6055985"
    )
    differs = (
        "videos instead of images: any grid, pooled to at most 49 positions (time first; the"
        " authors' is 6x6), on which it is mastaf-cross; the backbone is frozen"
    )
    Settings = CanSettings
    settings: CanSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    authors_names: ClassVar[Mapping[str, str]] = {
        **{
            theirs: ours
            for theirs, ours in Mastaf.authors_names.items()
            if not ours.startswith("head")
        },
        "clasifier.weight": "head.weight",  # spelt so by the authors
        "clasifier.bias": "head.bias",
    }


@register
class TransductiveCan(Can):
    """CAN whose most confident queries join the support set under their predicted class."""

    name = "can-transductive"
    sees = "all queries"
    differs = f"{Can.differs}; trained as CAN is; with fewer than three queries it is CAN"

    def adapt(self, support: Positions) -> Positions:
        """(episodes, way, shot, ...): kept, as queries are going to join."""
        return support

    def score(self, support: Positions, query: Positions) -> Tensor:
        """(episodes, queries, ...) -> scores after the last round (episodes, queries, way)."""
        scores = super().score(self.prototypes(support), query)
        queries = query.maps.shape[1]
        # The small addend keeps 35 / 75 of 75 from being rounded to less than 35.
        step = math.floor(self.settings.fraction * queries + 1e-9)
        for joining in range(step, queries + 1, step) if step else ():
            chosen = most_confident(scores, joining)
            prototypes = self._joined(support.maps, query.maps, chosen)
            scores = super().score(prototypes, query)
        return scores

    def _joined(self, support: Tensor, query: Tensor, chosen: Tensor) -> Positions:
        """Prototypes of support (episodes, way, shot, L, C) and chosen (episodes, queries, way).

        Sums, not means: only the directions of the positions enter a score.
        """
        total = support.sum(dim=2) + torch.einsum("eqn,eqlc->enlc", chosen, query)
        return self.attention.positions(total)


def most_confident(scores: Tensor, count: int) -> Tensor:
    """Pick the ``count`` queries of an episode with the largest best score.

    (episodes, queries, way) -> the same shape: 1 where a chosen query has its best class, else 0.
    """
    best, way = scores.max(dim=-1)
    chosen = torch.zeros_like(best).scatter(1, best.topk(count, dim=1).indices, 1.0)
    return chosen[..., None] * one_hot(way, scores.shape[-1])
