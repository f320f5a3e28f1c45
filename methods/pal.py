"""PAL: prototypes and queries look at the support set first, and prototypes look for their queries.

A prototype that is the mean of one to five videos is at the mercy of each of them. PAL lets every
support video attend to all others before the mean is taken, so that an outlier is drawn to the
rest; then the query attends to that support set (hybrid attention). What they read is added.

Training compares in both directions. Every query has to find its prototype, as always; and every
prototype has to find its queries among all queries of the episode (prototype-centred loss).
"""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.frames import cosines

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
    source = """Zhu et al., BMVC 2021, arXiv:2101.08085 (Prototype-centered Attentive Learning), as
    re-implemented in tobyperrett/few-shot-action-recognition at 3687f3a, CNN_PAL"""
    differs = """frames and positions are averaged first, as in the code; a class without a query is
    left out of the prototypes' loss, where the code's is infinite; the backbone is frozen. As
    published, the bias of the keys cancels in the softmax and gets no gradient"""
    needs = "vector"
    order_aware = False
    Settings = PalSettings
    settings: PalSettings

    def __init__(self, shape: FeatureShape, settings: PalSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.attention = nn.MultiheadAttention(shape.channels, num_heads=1, batch_first=True)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> mean vector (videos, C)."""
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> support videos that attended to each other, same shape."""
        videos = support.flatten(1, 2)
        return self.attend(videos, videos).reshape(support.shape)

    def score(self, support: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> cosines to the prototypes, (episodes, queries, way)."""
        asking, prototypes = self.attend(query, support.flatten(1, 2)), support.mean(dim=2)
        pairs = cosines(asking.unsqueeze(2), prototypes.unsqueeze(2), self.settings.epsilon)
        return pairs[..., 0, 0]

    def attend(self, videos: Tensor, support: Tensor) -> Tensor:
        """Add to videos (episodes, A, C) their cross-attention to the support (episodes, B, C)."""
        return videos + self.attention(videos, support, support, need_weights=False)[0]

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of each query among prototypes, and of each prototype among queries."""
        support, query = cast(Tensor, episodes.support), cast(Tensor, episodes.query)
        scores = self.score(self.adapt(support), query)
        return {
            "episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten()),
            "prototypes": prototype_contrast(scores, episodes.labels),
        }


def prototype_contrast(scores: Tensor, labels: Tensor) -> Tensor:
    """Minus the log of its own queries' part in a prototype's similarities, averaged over all."""
    similarity = scores.sigmoid()
    own = one_hot(labels, scores.shape[-1]).to(scores.dtype)
    part = (similarity * own).sum(dim=1) / (LEAST_TOTAL + similarity.sum(dim=1))
    has_query = own.any(dim=1)
    return -part.where(has_query, 1.0).log().sum() / has_query.sum()
