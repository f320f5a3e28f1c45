"""PAL: videos attend to the support set; the loss also looks from the prototypes' side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._precision import in_own_precision
from methods.parts.frames import Frames, frame_cosines

LEAST_TOTAL = 0.1
"""Added to the sum of a prototype's scores over all queries, as in the code."""


@dataclass(frozen=True)
class PalSettings(Settings):
    """Settings of PAL."""

    epsilon: float = 0.01
    """Added to the product of norms in the cosine, as in the code."""


@register
class Pal(Method):
    """Cosine to prototypes, after support videos and then the query attended to the support set."""

    name = "pal"
    revision = 1
    source = (
        "Zhu et al., BMVC 2021, arXiv:2101.08085 (Prototype-centered Attentive Learning), as"
        " re-implemented in tobyperrett/few-shot-action-recognition at 3687f3a, CNN_PAL"
    )
    differs = (
        "frames and positions are averaged first, as in the code; a class without a query is left"
        " out of the prototypes' loss, where the code's is infinite; the backbone is frozen. As"
        " published, the bias of the keys cancels in the softmax and gets no gradient"
    )
    needs = "vector"
    order_aware = False
    Settings = PalSettings
    settings: PalSettings
    authors_names: ClassVar[Mapping[str, str]] = {
        "mha.in_proj_weight": "attention.in_proj_weight",
        "mha.in_proj_bias": "attention.in_proj_bias",
        "mha.out_proj.weight": "attention.out_proj.weight",
        "mha.out_proj.bias": "attention.out_proj.bias",
    }

    def __init__(self, shape: FeatureShape, settings: PalSettings | None = None) -> None:
        """Build the attention, with one head."""
        super().__init__(shape, settings)
        self.attention = nn.MultiheadAttention(shape.channels, num_heads=1, batch_first=True)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> (videos, C)."""
        return in_own_precision(self, features).mean(dim=(2, 3, 4))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> support videos that attended to each other, same shape."""
        videos = support.flatten(1, 2)
        return self._attend(videos, videos).reshape(support.shape)

    def score(self, support: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> cosines (episodes, queries, way)."""
        attended = self._attend(query, support.flatten(1, 2))
        pair = _one_frame(attended), _one_frame(support.mean(dim=2, keepdim=True))
        return frame_cosines(*pair, self.settings.epsilon)[..., 0, 0, 0]

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the queries, and contrast of each prototype among the queries."""
        support: Any = episodes.support
        query: Any = episodes.query
        scores = self.score(self.adapt(support), query)
        return {
            "episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten()),
            "prototypes": prototype_contrast(scores, episodes.labels),
        }

    def _attend(self, videos: Tensor, support: Tensor) -> Tensor:
        """(episodes, videos, C), (episodes, way * shot, C) -> (episodes, videos, C)."""
        read: Tensor = self.attention(videos, support, support, need_weights=False)[0]
        return videos + read


def prototype_contrast(scores: Tensor, labels: Tensor) -> Tensor:
    """Minus the log of the share that its own queries have in a prototype's scores.

    scores (episodes, queries, way), labels (episodes, queries) -> (), the mean over prototypes
    """
    strength = scores.sigmoid()
    own = one_hot(labels, scores.shape[-1]).to(scores.dtype)
    share = (strength * own).sum(dim=1) / (LEAST_TOTAL + strength.sum(dim=1))
    has_query = own.any(dim=1)
    return -share.where(has_query, 1.0).log().sum() / has_query.sum()


def _one_frame(videos: Tensor) -> Frames:
    """(..., C) -> videos of one frame (..., 1, C)."""
    vectors = videos.unsqueeze(-2)
    return Frames(vectors, torch.linalg.vector_norm(vectors, dim=-1))
