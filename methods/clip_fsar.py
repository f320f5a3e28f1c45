"""CLIP-FSAR: prototypes that the names of their classes have modulated, and what names say alone.

A vision-language model such as CLIP puts a video's frames and a class's name into one space, and
CLIP-FSAR uses the name twice. In training, the mean frame of every video is held against the names
of all training classes, as CLIP itself was trained. In an episode, the name of a class joins the
frames of its support as one more token of a self-attention layer, so that the prototype of "pouring
water" leans towards what the words say of it; queries, whose names nobody knows, pass the same
layer alone. Queries and prototypes are then aligned in time, as in `methods.otam`.

Two controls tell what the names are worth: `ZeroShot` reads the names and no support video at all,
`TextPrototype` counts the name as one more shot of a nearest-prototype classifier.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, gelu, normalize

from bench.method import (
    FeatureShape,
    LabelledEpisodes,
    NamedSupport,
    Settings,
    TextMethod,
    register,
)
from methods.parts.alignment import alignment_costs
from methods.parts.attention import attend, heads_for
from methods.parts.frames import cosines, frame_vectors

HEADS = 8
"""Heads of the attention; fewer where they do not divide the channels."""
CLIP_SCALE = 100.0
"""Inverse temperature of CLIP's own logits, at which its training ended (Radford et al., 2021)."""


@dataclass(frozen=True)
class ClipFsarSettings(Settings):
    """Settings of `ClipFsar`; the defaults are those of the authors' configurations."""

    merge: Literal["before", "after"] = "before"
    """Whether the shots of a class are averaged before the transformer or after it."""
    directions: Literal["both", "one"] = "both"
    """Alignment both ways, summed, or with the query's frames as rows alone."""
    scores: Literal["alignment", "text", "combined"] = "alignment"
    """Scores at test: of the alignment, of the names, or the product of both probabilities."""
    text_weight: float = 0.9
    """Exponent of the names' probability where scores are combined; one minus it is the other's."""
    temperature: float = 0.5
    """Lambda of the smooth minimum in the alignment."""
    epsilon: float = 0.01
    """Added to the product of the norms in cosines of frames, and of class logits."""
    feed_forward: int = 2048
    """Width of the transformer's feed-forward layer."""
    dropout: float = 0.2
    """Dropout behind the attention, in training; a quarter of it in the feed-forward layer."""
    class_weight: float = 3.0
    """Beta, the weight of the loss over training classes: 3 for Something-Something, 1.5 for
    Kinetics and UCF101, 1.2 for HMDB51."""


class Prototypes(NamedTuple):
    """Modulated prototypes (episodes, way, T, C), and the text of the names (episodes, way, C)."""

    frames: Tensor
    text: Tensor


class Transformer(nn.Module):
    """F: self-attention over tokens behind a layer norm, then a feed-forward layer (eq. 4 to 6)."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads_for(channels, HEADS)
        self.norm = nn.LayerNorm(channels)
        self.query, self.key, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.out = nn.Linear(channels, channels)
        self.widen, self.narrow = nn.Linear(channels, width), nn.Linear(width, channels)
        self.after_attention = nn.Dropout(dropout)
        self.in_feed_forward = nn.Dropout(dropout / 4)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., n, C) -> (..., n, C)."""
        normed = self.norm(tokens)
        read = attend(self.query(normed), self.key(normed), self.value(normed), self.heads)
        tokens = tokens + self.after_attention(self.out(read))
        hidden = self.in_feed_forward(gelu(self.widen(tokens)))
        return tokens + self.in_feed_forward(self.narrow(hidden))


@register
class ClipFsar(TextMethod):
    """Align queries with prototypes whose frames have attended to the name of their class."""

    name = "clip-fsar"
    source = """Wang, Zhang, Cen, Gao, Zhang, Zhao, Sang, IJCV 2023, arXiv:2303.02982; code
    alibaba-mmai-research/CLIP-FSAR at 30cf0a8, models/base/few_shot.py"""
    differs = """nothing on the authors' features; theirs are of CLIP, whose visual encoder they
    train with the head, in batch statistics of supports and queries apart"""
    needs = "frames"
    order_aware = True
    Settings = ClipFsarSettings
    settings: ClipFsarSettings
    variants = {
        "clip-fsar-merge-after": {"merge": "after"},
        "clip-fsar-combined": {"scores": "combined"},
    }

    def __init__(self, shape: FeatureShape, settings: ClipFsarSettings | None = None) -> None:
        super().__init__(shape, settings)
        width, dropout = self.settings.feed_forward, self.settings.dropout
        self.transformer = Transformer(shape.channels, width, dropout)
        self.scale = nn.Parameter(torch.ones(1))

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def adapt(self, support: NamedSupport) -> Prototypes:
        """Let frames (episodes, way, shot, T, C) attend to names (episodes, way, C), eq. 7."""
        frames, text = support
        if self.settings.merge == "before":
            frames = frames.mean(dim=2, keepdim=True)
        name = text[:, :, None, None].expand(-1, -1, frames.shape[2], 1, -1)
        modulated = self.transformer(torch.cat([frames, name], dim=-2))[..., :-1, :]
        return Prototypes(modulated.mean(dim=2), text)

    def score(self, state: Prototypes, query: Tensor) -> Tensor:
        """(episodes, queries, T, C) -> (episodes, queries, way); larger is likelier."""
        if self.settings.scores == "text":
            return self.text_scores(query, state.text)
        aligned = self.alignment_scores(state.frames, query)
        if self.settings.scores == "alignment":
            return aligned
        # The authors divide by 8 whatever the number of frames. Logarithms of probabilities rank
        # as their product does, and cannot run out of range.
        weight = self.settings.text_weight
        by_text = self.text_scores(query, state.text).log_softmax(dim=-1)
        return weight * by_text + (1 - weight) * (aligned / 8).log_softmax(dim=-1)

    def alignment_scores(self, prototypes: Tensor, query: Tensor) -> Tensor:
        """Minus the cost of aligning queries with prototypes (..., way, T, C), both ways summed."""
        own = self.settings
        distances = 1 - cosines(self.transformer(query), prototypes, own.epsilon)
        costs = alignment_costs(distances, own.temperature)
        if own.directions == "both":
            costs = costs + alignment_costs(distances.mT, own.temperature)
        return -costs

    def text_scores(self, query: Tensor, text: Tensor) -> Tensor:
        """The learned scale times the cosine of mean frame and name, (episodes, queries, way)."""
        return self.scale * cosine_similarity(query.mean(dim=2)[:, :, None], text[:, None], dim=-1)

    def class_logits(self, videos: Tensor, text: Tensor) -> Tensor:
        """Similarity of mean frames (episodes, videos, C) to names (classes, C): (..., classes)."""
        means, names = videos.unsqueeze(-2), text[None, :, None]
        return self.scale * cosines(means, names, self.settings.epsilon)[..., 0, 0]

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Class of the episode by alignment, and training class of every video by its name."""
        support, query = episodes.support, episodes.query
        logits = self.alignment_scores(self.adapt(support).frames, query)
        videos = torch.cat([support.videos.flatten(1, 2), query], dim=1).mean(dim=2)
        of_support = episodes.classes[:, :, None].expand(support.videos.shape[:3]).flatten(1)
        of_query = episodes.classes.gather(1, episodes.labels)
        class_logits = self.class_logits(videos, cast(Tensor, episodes.class_text))
        classes = torch.cat([of_support, of_query], dim=1)
        return {
            "episode": cross_entropy(logits.flatten(0, 1), episodes.labels.flatten()),
            "classes": self.settings.class_weight
            * cross_entropy(class_logits.flatten(0, 1), classes.flatten()),
        }


@register
class ZeroShot(TextMethod):
    """Score a query by the cosine of its mean frame with the name; supports are not looked at."""

    name = "zero-shot"
    source = "Radford et al., ICML 2021, arXiv:2103.00020, section 3.1"
    differs = "frames are averaged before they are brought to length 1"
    needs = "frames"
    order_aware = False

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> the mean frame at length 1, (videos, C)."""
        return normalize(frame_vectors(features).mean(dim=1), dim=-1)

    def adapt(self, support: NamedSupport) -> Tensor:
        """Keep the names at length 1, (episodes, way, C)."""
        return normalize(support.text, dim=-1)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> CLIP's logits (episodes, queries, way)."""
        return CLIP_SCALE * query @ state.mT


@register
class TextPrototype(ZeroShot):
    """Score a query by its cosine with the mean of a class's shots and its name."""

    name = "text-prototype"
    source = "this project, 2026: nearest prototypes with the name of the class as one more shot"
    differs = "nothing"

    def adapt(self, support: NamedSupport) -> Tensor:
        """Videos (episodes, way, shot, C) and names (episodes, way, C) -> (episodes, way, C)."""
        name = normalize(support.text, dim=-1)
        shots = torch.cat([support.videos, name[:, :, None]], dim=2)
        return normalize(shots.mean(dim=2), dim=-1)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> cosines (episodes, queries, way)."""
        return query @ state.mT
