"""CrossTransformer on frames: prototypes aligned with each query frame by attention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision
from methods.parts.frames import frame_vectors

AUTHORS_FRAMES = 8
"""The sum of a video's cosines is divided by it, whatever the number of frames."""


@dataclass(frozen=True)
class CrossTransformerSettings(Settings):
    """Settings of CrossTransformer."""

    width: int = 0
    """Channels of keys and values; 0 is half of the features' (the authors: 1024 of 2048)."""


class Projected(NamedTuple):
    """Frames as keys, to find what belongs together, and as values, to compare it."""

    keys: Tensor
    """(..., T, width)"""
    values: Tensor
    """(..., T, width)"""


@register
class CrossTransformer(Method):
    """Compare each query frame with what it attends to among the frames of a class."""

    name = "cross-transformer"
    revision = 1
    source = (
        "Doersch, Gupta, Zisserman, NeurIPS 2020, arXiv:2007.11498, eq. 1-3, on frames instead of"
        " positions; code alibaba-mmai-research/HyRSM at 82100b6, CNN_CrossTransformer"
    )
    differs = "keys and values of half the features' channels (1024 of 2048); a frozen backbone"
    needs = "frames"
    order_aware = False
    Settings = CrossTransformerSettings
    settings: CrossTransformerSettings
    authors_names: ClassVar[Mapping[str, str]] = {
        "key_head.weight": "key.weight",
        "value_head.weight": "value.weight",
    }

    def __init__(
        self, shape: FeatureShape, settings: CrossTransformerSettings | None = None
    ) -> None:
        """Build both projections, without biases."""
        super().__init__(shape, settings)
        width = self.settings.width or max(1, shape.channels // 2)
        self.key = nn.Linear(shape.channels, width, bias=False)
        self.value = nn.Linear(shape.channels, width, bias=False)

    def encode(self, features: Tensor) -> Projected:
        """(videos, C, T, H, W) -> keys and values (videos, T, width)."""
        frames = frame_vectors(in_own_precision(self, features))
        return Projected(self.key(frames), self.value(frames))

    def adapt(self, support: Projected) -> Projected:
        """(episodes, way, shot, T, width) -> all frames of a class (episodes, way, S T, width)."""
        return Projected(*(tensor.flatten(2, 3) for tensor in support))

    def score(self, support: Projected, query: Projected) -> Tensor:
        """(episodes, queries, T, width) -> sums of cosines (episodes, queries, way)."""
        products = torch.einsum("eqth,enuh->eqntu", query.keys, support.keys)
        attention = torch.softmax(products / query.keys.shape[-1] ** 0.5, dim=-1)
        prototypes = torch.einsum("eqntu,enuh->eqnth", attention, support.values)
        directions = normalize(query.values, dim=-1)[:, :, None]
        cosines = (normalize(prototypes, dim=-1) * directions).sum(dim=-1)
        return cosines.sum(dim=-1) / AUTHORS_FRAMES
