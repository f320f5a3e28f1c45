"""The TSN baseline of the video papers: one vector a video, compared with each support video.

A temporal segment network (TSN) looks at a few frames spread over a video and averages what it
sees, so that their order is lost. The video papers compare such averages by their cosine, and over
the shots of a class they average the cosines, not the videos. What a method of alignment scores
above that, it owes to time.
"""

from dataclasses import dataclass

from torch import Tensor

from bench.method import PairMethod, Settings, register
from methods.parts.frames import cosines


@dataclass(frozen=True)
class TsnSettings(Settings):
    """Settings of the TSN baseline."""

    epsilon: float = 0.01
    """Added to the product of norms in the cosine, as the authors do."""


@register
class Tsn(PairMethod):
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

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> mean vector (videos, C)."""
        return features.mean(dim=(2, 3, 4))

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """(..., A, C), (..., B, C) -> cosines (..., A, B)."""
        return cosines(query.unsqueeze(-2), support.unsqueeze(-2), self.settings.epsilon)[..., 0, 0]
