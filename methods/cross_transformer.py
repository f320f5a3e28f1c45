"""CrossTransformer on frames: for every frame of a query, a class makes the frame that answers it.

A prototype that is an average answers every query in the same way. Here each frame of the query
attends to all frames of all shots of a class, by keys, and gets a mixture of them, by values: the
prototype of this class for this frame. A class that shows nothing similar cannot mix a similar one.

    A_tu = softmax_u(k(q_t) . k(s_u) / sqrt h)       eq. 1 and 2: frame u of a class for frame t
    p_t  = sum_u A_tu v(s_u)                         eq. 3: the prototype for frame t

The paper does this for positions of images; on frames it is a baseline of the video papers, which
compare v(q_t) and p_t by their cosine instead of a distance.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.frames import frame_vectors

AUTHORS_FRAMES = 8
"""The sum of a video's cosines is divided by it, whatever the number of frames."""


@dataclass(frozen=True)
class CrossTransformerSettings(Settings):
    """Settings of CrossTransformer."""

    width: int = 0
    """Channels of keys and values; 0 is half of the features' (the authors: 1024 of 2048)."""


class Projected(NamedTuple):
    """Frames (..., T, width) as keys, to find what belongs together, and as values, to compare."""

    keys: Tensor
    values: Tensor


@register
class CrossTransformer(Method):
    """Compare each query frame with what it attends to among the frames of a class."""

    name = "cross-transformer"
    source = """Doersch, Gupta, Zisserman, NeurIPS 2020, arXiv:2007.11498, eq. 1-3, on frames
    instead of positions; code alibaba-mmai-research/HyRSM at 82100b6, CNN_CrossTransformer"""
    differs = "keys and values of half the features' channels (1024 of 2048); a frozen backbone"
    needs = "frames"
    order_aware = False
    Settings = CrossTransformerSettings
    settings: CrossTransformerSettings

    def __init__(
        self, shape: FeatureShape, settings: CrossTransformerSettings | None = None
    ) -> None:
        super().__init__(shape, settings)
        width = self.settings.width or max(1, shape.channels // 2)
        self.key = nn.Linear(shape.channels, width, bias=False)
        self.value = nn.Linear(shape.channels, width, bias=False)

    def encode(self, features: Tensor) -> Projected:
        """(videos, C, T, H, W) -> keys and values (videos, T, width)."""
        frames = frame_vectors(features)
        return Projected(self.key(frames), self.value(frames))

    def adapt(self, support: Projected) -> Projected:
        """(episodes, way, shot, T, width) -> all frames of a class (episodes, way, S T, width)."""
        return Projected(*(tensor.flatten(2, 3) for tensor in support))

    def score(self, support: Projected, query: Projected) -> Tensor:
        """(episodes, queries, T, width) -> sums of cosines (episodes, queries, way)."""
        similarity = torch.einsum("eqth,enuh->eqntu", query.keys, support.keys)
        attention = torch.softmax(similarity / query.keys.shape[-1] ** 0.5, dim=-1)  # A
        prototypes = torch.einsum("eqntu,enuh->eqnth", attention, support.values)  # p
        directions = normalize(query.values, dim=-1).unsqueeze(2)
        cosines = (normalize(prototypes, dim=-1) * directions).sum(dim=-1)
        return cosines.sum(dim=-1) / AUTHORS_FRAMES
