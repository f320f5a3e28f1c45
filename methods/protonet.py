"""Prototypical networks: compare a query with the mean support video of each class.

A class is represented by one vector, the mean of its support videos, its prototype; a query belongs
to the class whose prototype is nearest. On videos, frames and positions are averaged first. It is
measured by the squared Euclidean distance of the paper, the distance itself, or the cosine
(SimpleShot; with a learned temperature, Meta-Baseline).

The video papers have a baseline of the same kind: a temporal segment network (TSN) averages a few
frames spread over a video. They average the cosines over the shots of a class, not the videos.
What a method of alignment scores above that, it owes to time.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, PairMethod, Settings, register
from methods.parts import frames


@dataclass(frozen=True)
class ProtoNetSettings(Settings):
    """Settings of `ProtoNet`."""

    comparison: Literal["squared", "euclidean", "cosine"] = "squared"
    """Minus the squared distance, minus the distance, or the cosine."""


@register
class ProtoNet(Method):
    """Compare a query with the mean support video of each class."""

    name = "protonet"
    source = """Snell, Swersky, Zemel, NeurIPS 2017, arXiv:1703.05175, eq. 1-2; on videos as in
    MCG-NJU/FSL-Video at 5c3c050; -euclidean and -cosine (SimpleShot) as in
    sicara/easy-few-shot-learning at 8023ff4"""
    differs = """frames and positions are averaged first, so that their order is lost; SimpleShot
    (-cosine) without centring on the training videos, as in the code named"""
    needs = "vector"
    order_aware = False
    Settings = ProtoNetSettings
    settings: ProtoNetSettings
    variants = {
        "protonet-euclidean": {"comparison": "euclidean"},
        "protonet-cosine": {"comparison": "cosine"},
    }

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> mean vector (videos, C)."""
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> prototypes (episodes, way, C), eq. 1."""
        return support.mean(dim=2)

    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> similarity (episodes, queries, way), the logits of eq. 2."""
        if self.settings.comparison == "cosine":
            return cosines(query, prototypes)
        # The difference itself: q.q - 2 q.c + c.c would lose the digits that the two share.
        difference = query[:, :, None] - prototypes[:, None]
        if self.settings.comparison == "squared":
            return -difference.square().sum(dim=-1)
        return -torch.linalg.vector_norm(difference, dim=-1)


def cosines(query: Tensor, prototypes: Tensor) -> Tensor:
    """Plain cosines, 0 with zero vectors: (episodes, queries, way)."""
    return torch.einsum("eqc,enc->eqn", normalize(query, dim=-1), normalize(prototypes, dim=-1))


@dataclass(frozen=True)
class MetaBaselineSettings(ProtoNetSettings):
    """Settings of Meta-Baseline."""

    comparison: Literal["squared", "euclidean", "cosine"] = "cosine"
    temperature: float = 10.0
    """Initial factor of the cosine; it is learned."""


@register
class MetaBaseline(ProtoNet):
    """Cosine to the mean support video of each class (eq. 2), times a learned temperature."""

    name = "meta-baseline"
    source = "Chen, Liu, Xu, Darrell, Wang, ICCV 2021, arXiv:2003.04390, eq. 2-3"
    differs = """frames and positions are averaged first; the backbone is frozen, so that only the
    temperature learns and no prediction changes with training"""
    Settings = MetaBaselineSettings
    settings: MetaBaselineSettings
    variants = {}

    def __init__(self, shape: FeatureShape, settings: MetaBaselineSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.temperature = nn.Parameter(torch.tensor(self.settings.temperature))

    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> scaled cosines (episodes, queries, way), logits of eq. 3."""
        return self.temperature * super().score(prototypes, query)


@dataclass(frozen=True)
class TsnSettings(Settings):
    """Settings of the TSN baseline."""

    epsilon: float = 0.01
    """Added to the product of norms in the cosine, as the authors do."""


@register
class Tsn(PairMethod):
    """Mean cosine of a query with the support videos of each class, frames averaged first."""

    name = "tsn-cosine"
    source = """baseline of Cao et al., CVPR 2020, arXiv:1906.11415, after Wang et al., ECCV 2016
    (TSN); code alibaba-mmai-research/HyRSM at 82100b6, CNN_TSN"""
    differs = "nothing but a frozen backbone; its form with L2 distances is protonet"
    needs = "vector"
    order_aware = False
    Settings = TsnSettings
    settings: TsnSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> mean vector (videos, C)."""
        return features.mean(dim=(2, 3, 4))

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """(..., A, C), (..., B, C) -> cosines (..., A, B)."""
        videos = query.unsqueeze(-2), support.unsqueeze(-2)  # of one frame each
        return frames.cosines(*videos, self.settings.epsilon)[..., 0, 0]
