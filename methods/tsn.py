"""The TSN baseline of the video papers: cosines to the support videos, one by one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.method import Method, Settings, register
from methods.parts.frames import Frames, frame_cosines


@dataclass(frozen=True)
class TsnSettings(Settings):
    """Settings of the TSN baseline."""

    epsilon: float = 0.01
    """Added to the product of norms in the cosine, as the authors do."""


@register
class Tsn(Method):
    """Mean cosine of a query with the support videos of each class, frames averaged first."""

    name = "tsn-cosine"
    revision = 1
    source = (
        "baseline of Cao et al., CVPR 2020, arXiv:1906.11415, after Wang et al., ECCV 2016 (TSN);"
        " code alibaba-mmai-research/HyRSM at 82100b6, CNN_TSN"
    )
    differs = "nothing but a frozen backbone; its form with L2 distances is protonet"
    needs = "vector"
    order_aware = False
    Settings = TsnSettings
    settings: TsnSettings

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> the mean vector of each video, as its only frame."""
        vectors = features.mean(dim=(2, 3, 4))[:, None]
        return Frames(vectors, torch.linalg.vector_norm(vectors, dim=-1))

    def adapt(self, support: Frames) -> Frames:
        """(episodes, way, shot, 1, C): kept as it is."""
        return support

    def score(self, support: Frames, query: Frames) -> Tensor:
        """(episodes, queries, 1, C) -> mean cosines (episodes, queries, way)."""
        return frame_cosines(query, support, self.settings.epsilon).mean(dim=(3, 4, 5))
