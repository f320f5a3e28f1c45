"""HyRSM: hybrid relations and set matching.

What distinguishes a class depends on which other classes it is to be told apart from. So the frames
of a video attend to one another, as in a transformer (the *intra-relation*); then the videos of the
episode, one query at a time, with one token for each (the *inter-relation*), and what a video
learns from the others is written into each of its frames.

Enriched frames are compared as *sets*: each frame of one video is matched with the nearest frame of
the other, wherever it is, and the other way round (the bidirectional mean Hausdorff metric,
Bi-MHM). An alignment in order would suffer where a sub-action comes earlier or twice. Order is seen
all the same, since the frames know their positions. HyRSM++ adds a loss that asks neighbouring
frames of a video to resemble each other, and distant ones to differ (temporal coherence).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.attention import SelfAttention, heads_for
from methods.parts.class_loss import class_entropy
from methods.parts.frames import cosines, frame_vectors, hausdorff_distances
from methods.parts.positions import hyrsm_positions


@dataclass(frozen=True)
class HyRSMSettings(Settings):
    """Settings of HyRSM; the authors' for SSv2-Small."""

    form: Literal["prototypes", "supports"] = "prototypes"
    """Whether shots are averaged before the videos are related (the authors' "CNN_HyRSM_5shot"), or
    related and matched each by itself ("CNN_HyRSM_1shot"); equal with one shot."""
    heads: int = 8
    position_a: float = 10.0
    """The features are multiplied by sqrt(C / position_a) before the positions are added."""
    position_b: float = 1.0
    """The table of positions is multiplied by it."""
    classes: int = 0
    """Training classes of the frame classifier; 0 leaves it and its loss term out."""
    class_weight: float = 0.15
    coherence_weight: float = 0.0
    """Weight of HyRSM++'s temporal coherence term."""


class Videos(NamedTuple):
    """Videos after the intra-relation, with what each brings to the inter-relation by itself."""

    frames: Tensor
    """(..., T, C), for the frame classifier; (..., 0, C) where there is none."""
    mapped: Tensor
    """(..., T, C): the frames' part of the enriched frames."""
    token: Tensor
    """(..., C): mean of the frames, and what it is projected to."""
    query: Tensor
    key: Tensor
    value: Tensor
    """(..., heads, C), with each head's columns of the output layer applied."""


class InterRelation(nn.Module):
    """Attention between the tokens of an episode's videos, with residual, layer norm and ReLU."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.weight_dropout = nn.Dropout(0.1)
        self.dropout = nn.Dropout(0.05)
        for projection in (self.query, self.key, self.value):
            nn.init.normal_(projection.weight, std=(2 / (channels + channels // heads)) ** 0.5)
        nn.init.xavier_normal_(self.out.weight)

    def project(self, token: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(videos, C) -> query, key and value of `Videos`."""
        value = self.value(token).unflatten(-1, (self.heads, -1))
        columns = self.out.weight.unflatten(-1, (self.heads, -1))
        return self.query(token), self.key(token), torch.einsum("vhd,chd->vhc", value, columns)

    def forward(self, support: Videos, query: Videos) -> Tensor:
        """Relate each query by itself with the support videos; its own token comes last.

        (episodes, supports, ...), (episodes, queries, ...) -> (episodes, queries, supports + 1, C)
        """

        def together(supports: Tensor, queries: Tensor) -> Tensor:
            repeated = supports.unsqueeze(1).expand(-1, queries.shape[1], -1, -1)
            return torch.cat([repeated, queries.unsqueeze(2)], dim=2)

        pairs = (support.query, query.query), (support.key, query.key)
        q, k = (together(*pair).unflatten(-1, (self.heads, -1)).transpose(2, 3) for pair in pairs)
        a = self.weight_dropout((q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1))
        a = a.permute(0, 1, 3, 4, 2)  # (episodes, queries, looking, looked at, heads)
        mixture = torch.einsum("eqlsh,eshc->eqlc", a[:, :, :, :-1], support.value)
        mixture = mixture + a[:, :, :, -1] @ query.value + self.out.bias
        return relu(self.norm(together(support.token, query.token) + self.dropout(mixture)))


@register
class HyRSM(Method):
    """Hybrid relations within a video and between the videos of an episode, matched as sets."""

    name = "hyrsm"
    source = """Wang et al., CVPR 2022, arXiv:2204.13423; alibaba-mmai-research/HyRSM at 82100b6;
    coherence term: HyRSM++, arXiv:2301.03330, as in alibaba-mmai-research/MoLo"""
    differs = """frozen features instead of a trained backbone; any number of shots in either form
    (at one shot both are equal); 8 heads only if they divide the channels, else the largest number
    that divides both; the frame classifier only where classes are given"""
    needs = "frames"
    order_aware = True
    variants = {
        "hyrsm-supports": {"form": "supports"},
        "hyrsm-plus-plus": {"coherence_weight": 0.3},
    }
    Settings = HyRSMSettings
    settings: HyRSMSettings

    def __init__(self, shape: FeatureShape, settings: HyRSMSettings | None = None) -> None:
        super().__init__(shape, settings)
        channels, classes = shape.channels, self.settings.classes
        heads = heads_for(channels, self.settings.heads)
        self.place_dropout = nn.Dropout(0.1)
        self.intra = SelfAttention(channels, heads, dropout=0.2)
        self.inter = InterRelation(channels, heads)
        self.merge = nn.Linear(2 * channels, channels)
        self.head = nn.Linear(channels, classes) if classes else None

    def encode(self, features: Tensor) -> Videos:
        """(videos, C, T, H, W) -> frames related to each other, and tokens of the videos."""
        own, frames = self.settings, frame_vectors(features)
        placed = hyrsm_positions(frames, own.position_a, own.position_b)
        frames = relu(self.intra(self.place_dropout(placed)))
        kept = frames if self.head is not None else frames[:, :0]
        token = frames.mean(dim=1)
        mapped = linear(frames, self.merge.weight.chunk(2, dim=1)[0])
        return Videos(kept, mapped, token, *self.inter.project(token))

    def adapt(self, support: Videos) -> Videos:
        """(episodes, way, shot, ...) -> (episodes, way, 1 or shot, ...)."""
        if self.settings.form == "supports" or support.token.shape[2] == 1:
            return support
        # All of `encode` behind its ReLU is linear in the frames: so are their means.
        return Videos(*(part.mean(dim=2, keepdim=True) for part in support))

    def score(self, support: Videos, query: Videos) -> Tensor:
        """Minus the distance of each query to each class: (episodes, queries, way)."""
        return torch.stack([match(*pair) for pair in self.related(support, query)], dim=1)

    def related(self, support: Videos, query: Videos) -> Iterator[tuple[Tensor, Tensor]]:
        """Enrich query by query: frames (episodes, way, members, T, C) and (episodes, T, C)."""
        supports = Videos(*(part.flatten(1, 2) for part in support))
        # The 1 x 1 convolution over [frame, token]: a map of the frame and a map of the token.
        columns = self.merge.weight.chunk(2, dim=1)[1]
        learned = linear(self.inter(supports, query), columns, self.merge.bias)
        for asked, told in zip(query.mapped.unbind(1), learned.unbind(1), strict=True):
            of_support = told[:, :-1].unflatten(1, support.mapped.shape[1:3])
            yield support.mapped + of_support.unsqueeze(3), asked + told[:, -1:]

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the episode and of the frames; HyRSM++: temporal coherence."""
        pairs = list(self.related(self.adapt(episodes.support), episodes.query))
        scores = torch.stack([match(*pair) for pair in pairs], dim=1)
        terms = {"episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())}
        if self.head is not None:
            sides = episodes.support.frames, episodes.query.frames
            terms["frames"] = self.settings.class_weight * class_entropy(
                self.head, *sides, episodes
            )
        if self.settings.coherence_weight:
            shown, asked = (incoherence(torch.stack(side)) for side in zip(*pairs, strict=True))
            terms["coherence"] = self.settings.coherence_weight * (shown + asked)
        return terms


def match(support: Tensor, query: Tensor) -> Tensor:
    """Minus a query's Bi-MHM distance, averaged over the members of a class.

    (episodes, way, members, T, C), (episodes, T, C) -> (episodes, way)
    """
    distances = 1 - cosines(query.unsqueeze(1), support.flatten(1, 2)).squeeze(1)
    return -hausdorff_distances(distances).unflatten(1, support.shape[1:3]).mean(dim=-1)


def incoherence(frames: Tensor) -> Tensor:
    """Penalty where neighbouring frames differ or distant ones agree: (..., T, C) -> ().

    With cosine distances d_ij: d_ij / ((i - j)^2 + 1) for neighbours (|i - j| <= 1), and else
    10 relu(1 - exp(-(|i - j| - 1)^2 / 51) - d_ij), averaged over all i and j.
    """
    unit = normalize(frames, dim=-1)
    d = 1 - unit @ unit.mT
    time = torch.arange(frames.shape[-2], device=frames.device, dtype=frames.dtype)
    apart = (time[:, None] - time).abs()
    near = d / (apart.square() + 1)
    far = 10 * relu(1 - torch.exp(-(apart - 1).square() / 51) - d)
    return torch.where(apart <= 1, near, far).mean()
