"""CAN: two maps weight each other's positions before they are compared; MASTAF's ancestor.

An object fills a part of an image only, and a backbone that never saw its class does not look at
that part. So CAN lets a class and a query tell each other where to look: positions of the one whose
relations to the other stand out are weighted up, and the maps are compared after that. MASTAF took
this over and added self-attention: `methods.mastaf` holds the mathematics, CAN is its cross branch.

In its transductive form, the most confident queries join the support set, and all are scored again.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.method import register
from methods.mastaf import Mastaf, MastafSettings


@dataclass(frozen=True)
class CanSettings(MastafSettings):
    """MASTAF's settings where CAN has them, too, and what its transductive form adds."""

    branches: Literal["both", "self", "cross", "none"] = "cross"
    fraction: float = 35 / 75
    """Fraction of the queries that join the support set in a round; twice it in the second."""


@register
class Can(Mastaf):
    """Compare maps whose positions were weighted by attention to each other."""

    name = "can"
    source = """Hou, Chang, Ma, Shan, Chen, NeurIPS 2019, arXiv:1910.07677; code
    blue-blue272/fewshot-CAN at 6055985"""
    differs = """videos instead of images: any grid, pooled to at most 49 positions (time first; the
    authors' is 6x6), on which it is mastaf-cross; the backbone is frozen"""
    Settings = CanSettings
    settings: CanSettings
    variants = {}


@register
class TransductiveCan(Can):
    """CAN whose most confident queries join the support set under their predicted class."""

    name = "can-transductive"
    sees = "all queries"
    differs = f"{Can.differs}; trained as CAN is; with fewer than three queries it is CAN"

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, N, S, L, C) -> sums, as a score depends on their direction alone."""
        return support[:, :, 0] if support.shape[2] == 1 else support.sum(dim=2)

    def score(self, support: Tensor, query: Tensor) -> Tensor:
        """(episodes, N, L, C), (episodes, Q, L, C) -> (episodes, Q, N); more join in each round."""
        scores = super().score(support, query)
        queries = query.shape[1]
        # The small addend keeps 35 / 75 of 75 from being rounded to less than 35.
        step = math.floor(self.settings.fraction * queries + 1e-9)
        for joining in range(step, queries + 1, step) if step else ():
            chosen = most_confident(scores, joining)
            members = torch.baddbmm(support.flatten(2), chosen.mT, query.flatten(2))
            scores = super().score(members.view_as(support), query)
        return scores


def most_confident(scores: Tensor, count: int) -> Tensor:
    """Mark the best class of the ``count`` surest queries with 1: the shape of the scores."""
    best, way = scores.max(dim=-1)
    chosen = torch.zeros_like(best).scatter(1, best.topk(count, dim=1).indices, 1.0)
    return chosen.unsqueeze(-1) * one_hot(way, scores.shape[-1])
