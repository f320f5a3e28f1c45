"""Spatio-temporal relation modelling (STRM).

STRM compares tuples of frames as TRX does, but first lets the frames see more. A hand and a cup lie
in different patches of a picture, and pooling each frame to one vector blurs what they do to each
other: so the patches of a frame attend to each other first (*patch-level enrichment*). And a tuple
holds two of many frames: so each frame is mixed with the others of its video before tuples are
formed (*frame-level enrichment*). Then tuples of query and class meet in TRX's attention.

So that patch-level enrichment alone tells classes apart, a second similarity is computed right
behind it: how near each tuple of the query is to the nearest one of a class. It counts for a tenth.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy, linear, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.positions import usual_positions
from methods.parts.tuple_attention import TupleAttention
from methods.parts.tuples import project_tuples

PATCHES = 4
"""Rows and columns of patches in a frame."""
DROPOUT = 0.1


@dataclass(frozen=True)
class StrmSettings(Settings):
    """Settings of `STRM`."""

    cardinality: int = 2
    """Number of frames in a tuple."""
    width: int | None = None
    """Width of keys and values; by default 1152, or what a tuple has if that is less."""
    auxiliary: float = 0.1
    """Weight of the similarity of patch-enriched frames, in the scores and in the loss."""


class PatchEnrichment(nn.Module):
    """PLE: let the patches of a frame attend to each other, then a small network at each patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.gate = nn.Parameter(torch.zeros(1))
        self.network = nn.Sequential(
            *(nn.Linear(channels, half), nn.ReLU(), nn.Linear(half, half), nn.ReLU()),
            nn.Linear(half, channels),
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors, (videos, T, C)."""
        # All frames, with their channels last: max-pooling is quickest in that form.
        frames = maps.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(0, 3, 1, 2)
        x = adaptive_max_pool2d(frames, PATCHES).flatten(2).mT  # (videos * T, patches, C)
        x = self.dropout(usual_positions(x))
        # (W_q x + b_q) . (W_k x' + b_k) = W_k' (W_q x + b_q) . x' + what is the same for all x',
        # which a softmax does not see. The authors do not divide by the root of the channels.
        w_k = self.key.weight.mT
        a = linear(x, w_k @ self.query.weight, w_k @ self.query.bias) @ x.mT
        x = x + self.gate * (a.softmax(dim=-1) @ self.value(x))
        # x + network(x), averaged over patches; the last linear map sees the average.
        enriched = x.mean(dim=1) + self.network[-1](self.network[:-1](x).mean(dim=1))
        return enriched.reshape(len(maps), -1, maps.shape[1])


class FrameEnrichment(nn.Module):
    """FLE: mix the frames of a video channel by channel, then the channels frame by frame."""

    def __init__(self, frames: int, channels: int) -> None:
        super().__init__()
        self.mix_frames, self.mix_channels = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for width in (frames, channels)
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, frames: Tensor) -> Tensor:
        """(videos, T, C) -> (videos, T, C)."""
        frames = self.dropout(usual_positions(frames))
        frames = frames + self.mix_frames(frames.mT).mT
        return frames + self.mix_channels(frames)


class Enriched(NamedTuple):
    """Tuples of frames after both enrichments, and after the first one alone."""

    keys: Tensor
    values: Tensor
    """(..., tuples, width)"""
    patch_tuples: Tensor
    """(..., tuples, C / 2), in the space of the auxiliary similarity."""


def nearest_tuple_scores(support: Tensor, query: Tensor) -> Tensor:
    """Minus the mean distance of a query's tuples to the nearest ones of a class.

    (episodes, way, shot, tuples, D) and (episodes, queries, tuples, D) -> (episodes, queries, way)
    """
    asked, tuples = query.flatten(1, 2), support.flatten(2, 3)
    # |q - s|^2 = |q|^2 + |s|^2 - 2 q.s is good enough to find the nearest tuple, but not to say how
    # near it is: of close tuples these terms leave little but rounding.
    with torch.no_grad():
        half_squares = tuples.square().sum(dim=-1).unsqueeze(1) / 2
        products = (asked @ tuples.flatten(1, 2).mT).unflatten(2, tuples.shape[1:3])
        nearest = (half_squares - products).argmin(dim=-1)  # (episodes, queries * tuples, way)
    episode = torch.arange(len(query), device=query.device)[:, None]
    distances = [
        torch.linalg.vector_norm(asked - of_class[episode, found], dim=-1)
        for of_class, found in zip(tuples.unbind(1), nearest.unbind(2), strict=True)
    ]
    return -torch.stack(distances, dim=-1).unflatten(1, query.shape[1:3]).mean(dim=2)


@register
class STRM(Method):
    """TRX on frames whose patches and whose times have been related to each other first."""

    name = "strm"
    source = """Thatipelli, Narayan, Khan, Anwer, Khan, Ghanem, CVPR 2022, arXiv:2112.05132;
    Anirudh257/strm, model.py, with its scripts' tuples of 2"""
    differs = """nothing from the authors' code; as there, the projection of the auxiliary
    similarity stays as it was drawn, and the patches' attention gets no gradient while its gate is
    at its start, 0. A map never widens: 1152 numbers for a tuple, or as many as it has if fewer;
    the loss is averaged, not summed, over queries"""
    needs = "maps"
    order_aware = True
    without_gradient = {
        "patches.key.bias": "cancels in the softmax of the attention",
        "tuples.value.bias": "cancels in the difference of query and prototype",
    }
    Settings = StrmSettings
    settings: StrmSettings
    fixed_weight: Tensor
    fixed_bias: Tensor

    def __init__(self, shape: FeatureShape, settings: StrmSettings | None = None) -> None:
        super().__init__(shape, settings)
        size, width = self.settings.cardinality, self.settings.width
        self.patches = PatchEnrichment(shape.channels)
        self.frames = FrameEnrichment(shape.frames, shape.channels)
        self.tuples = TupleAttention(shape.frames, shape.channels, size, width)
        self.dropout = nn.Dropout(DROPOUT)
        fixed = nn.Linear(self.tuples.key.in_features, max(1, shape.channels // 2))
        self.register_buffer("fixed_weight", fixed.weight.detach())
        self.register_buffer("fixed_bias", fixed.bias.detach())

    def encode(self, features: Tensor) -> Enriched:
        """(videos, C, T, H, W) -> its tuples, each (videos, tuples, ...)."""
        frames = self.patches(features)
        fixed = self.fixed_weight, self.fixed_bias
        patch_tuples = relu(project_tuples(self.dropout(frames), self.tuples.index, *fixed))
        keys, values = self.tuples(self.frames(frames))
        return Enriched(keys, values, patch_tuples)

    def score(self, support: Enriched, query: Enriched) -> Tensor:
        """(episodes, way, shot, tuples, ...), (episodes, queries, tuples, ...) -> (..., way)."""
        main, auxiliary = self.both_scores(support, query)
        return main + self.settings.auxiliary * auxiliary

    def both_scores(self, support: Enriched, query: Enriched) -> tuple[Tensor, Tensor]:
        """Scores of TRX's attention and of the auxiliary similarity, (episodes, queries, way)."""
        main = self.tuples.scores(support[:2], query[:2])
        return main, nearest_tuple_scores(support.patch_tuples, query.patch_tuples)

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of both scores, that of the auxiliary one weighted."""
        main, auxiliary = self.both_scores(self.adapt(episodes.support), episodes.query)
        labels = episodes.labels.flatten()
        return {
            "frames": cross_entropy(main.flatten(0, 1), labels),
            "patches": self.settings.auxiliary * cross_entropy(auxiliary.flatten(0, 1), labels),
        }
