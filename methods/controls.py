"""Controls: what a score must beat before it means anything.

`Chance` guesses, so that its interval is what guessing alone gives. `SingleFrame` sees no motion:
what it scores above chance comes from appearance.
"""

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import FeatureShape, Method, Settings, register

MIX = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""Odd 64-bit constants of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), as signed numbers."""


@register
class Chance(Method):
    """Guess by a hash of query and support videos, the same however episodes are batched."""

    name = "chance"
    source = "control of this project, 2026"
    differs = "nothing"
    needs = "vector"
    order_aware = True

    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.seed: Tensor

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> hash of the bits of all features, int64 (videos,)."""
        bits = features.float().contiguous().view(torch.int32).flatten(1).long()
        place = torch.arange(1, bits.shape[1] + 1, device=bits.device)
        return _mixed((bits * (place * MIX[0])).sum(dim=1) ^ self.seed)

    def adapt(self, support: Tensor) -> Tensor:
        """Sum over the shots, in whatever order they come: (episodes, way)."""
        return _mixed(support).sum(dim=2)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """Draw from [0, 1) for each pair of query and class: (episodes, queries, way)."""
        mixed = _mixed(state[:, None, :] + query[:, :, None] * MIX[2])
        return (mixed & (2**24 - 1)).float() / 2**24


def _mixed(values: Tensor) -> Tensor:
    """Scramble int64 values (...), the steps of SplitMix64 but for its signed shifts."""
    values = (values ^ (values >> 30)) * MIX[1]
    values = (values ^ (values >> 27)) * MIX[2]
    return values ^ (values >> 31)


@register
class SingleFrame(Method):
    """Classify by one frame only: a backbone is shown the middle frame, repeated.

    One time step of an ordinary feature map would not do, since it has seen its neighbours.
    """

    name = "single-frame"
    source = "control of this project, 2026; scores as ProtoNet with cosine"
    differs = "nothing"
    needs = "vector"
    order_aware = False
    sampling: ClassVar[str] = "middle-frame"

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> unit vectors (videos, C)."""
        return torch.nn.functional.normalize(features.mean(dim=(2, 3, 4)), dim=-1)

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> unit prototypes (episodes, way, C)."""
        return torch.nn.functional.normalize(support.mean(dim=2), dim=-1)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> cosines (episodes, queries, way)."""
        return query @ state.transpose(1, 2)
