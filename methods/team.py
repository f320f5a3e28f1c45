"""TEAM: videos read by a fixed set of learned pattern tokens, matched token by token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._precision import in_own_precision
from methods._token_patterns import Patterns, largest_of_others, token_distances, unit
from methods.parts.frames import frame_vectors
from methods.parts.positions import usual_table

DROPOUT = 0.1
"""Authors' dropout: after the positions, on the attention's weights, on what is read."""
NOMINAL_HEADS = 8
"""The attention has one head, but is scaled for the width of one of eight."""


@dataclass(frozen=True)
class TEAMSettings(Settings):
    """Settings of TEAM."""

    tokens: int = 60
    """Learned pattern tokens; the authors' scripts take 50 to 80."""
    position_scale: float = 0.1
    matching: Literal["both", "positive", "negative"] = "both"
    """Which of the two distances are added up for the score."""
    adapted: bool = True
    """Whether a class's tokens are moved away from those of the other classes."""


@register
class TEAM(Method):
    """Temporal-alignment-free matching: patterns that are in a video, and those that are not."""

    name = "team"
    revision = 1
    source = "Lee et al., CVPR 2025, arXiv:2504.05956; leesb7426/TEAM at 8bd6b6e"
    differs = (
        "frozen features instead of a trained backbone; scaled by sqrt(C / 8) also where 8 does"
        " not divide the channels; under dropout a video has one reading, the authors draw a new"
        " one for the adaptation"
    )
    needs = "frames"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "team-pos": {"matching": "positive", "adapted": False},
        "team-neg": {"matching": "negative", "adapted": False},
        "team-without-adaptation": {"adapted": False},
    }
    authors_names: ClassVar[Mapping[str, str]] = {
        "DPM.AP": "tokens",
        "DPM.ln.weight": "norm.weight",
        "DPM.ln.bias": "norm.bias",
        "DPM.mlp.inp_fc.weight": "mlp.0.weight",
        "DPM.mlp.inp_fc.bias": "mlp.0.bias",
        "DPM.mlp.out_fc.weight": "mlp.2.weight",
        "DPM.mlp.out_fc.bias": "mlp.2.bias",
    }
    Settings = TEAMSettings
    settings: TEAMSettings

    def __init__(self, shape: FeatureShape, settings: TEAMSettings | None = None) -> None:
        """Build the method for features of ``shape``."""
        super().__init__(shape, settings)
        channels = shape.channels
        self.tokens = nn.Parameter(torch.randn(self.settings.tokens, channels))
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.dropout = nn.Dropout(DROPOUT)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C).

        The tokens read a class's shots only after their mean was taken, so not here; a query's
        reading has M / T times the size of its frames, too much to keep for every video.
        """
        return frame_vectors(in_own_precision(self, features))

    def adapt(self, support: Tensor) -> Patterns:
        """(episodes, way, shot, T, C) -> patterns of each class, (episodes, way, M, C) twice."""
        read = self._read(support.mean(dim=2))
        plain = self._patterns(read)
        return self._move_apart(read, plain) if self.settings.adapted else plain

    def score(self, state: Patterns, query: Tensor) -> Tensor:
        """Minus the sum of the chosen distances: (episodes, queries, way)."""
        positive, negative = self.scores(state, query)
        if self.settings.matching == "both":
            return positive + negative
        return positive if self.settings.matching == "positive" else negative

    def scores(self, state: Patterns, query: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the positive and minus the negative distance, (episodes, queries, way) each."""
        asked = self._patterns(self._read(query))
        lacking = token_distances(state.positive, asked.negative)
        missed = token_distances(state.negative, asked.positive)
        negative = (largest_of_others(lacking) + largest_of_others(missed)) / 2
        return -token_distances(state.positive, asked.positive), -negative

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the positive and of the negative distances."""
        support, query = cast(Tensor, episodes.support), cast(Tensor, episodes.query)
        both = self.scores(self.adapt(support), query)
        labels = episodes.labels.flatten()
        positive, negative = (cross_entropy(scores.flatten(0, 1), labels) for scores in both)
        if self.settings.matching == "positive":
            return {"positive": positive}
        return {"positive": positive, "negative": negative}

    def _read(self, frames: Tensor) -> Tensor:
        """What each token reads in a video: (..., T, C) -> (..., M, C)."""
        table = usual_table(frames.shape[-2], frames.shape[-1], like=frames)
        placed = self.dropout(frames + self.settings.position_scale * table)
        seen = self.norm(placed)
        likeness = self.norm(self.tokens) @ seen.mT * (NOMINAL_HEADS / self.shape.channels) ** 0.5
        read: Tensor = self.dropout(self.dropout(likeness.softmax(dim=-1)) @ seen)
        return read

    def _refine(self, tokens: Tensor) -> Tensor:
        """(..., M, C) -> (..., M, C), not negative."""
        return relu(tokens + self.mlp(tokens))

    def _patterns(self, read: Tensor) -> Patterns:
        positive, negative = self._refine(self.tokens + read), self._refine(self.tokens - read)
        return Patterns(unit(positive), unit(negative))

    def _move_apart(self, read: Tensor, plain: Patterns) -> Patterns:
        """Move each class's tokens away from those of every other class, and add up.

        One other class at a time: all pairs of classes at once would take ``way`` times the
        memory. The authors' mean over the others has the same direction as the sum.
        """
        way = read.shape[1]
        positive, negative = torch.zeros_like(read), torch.zeros_like(read)
        for step in range(1, way):
            away = read.roll(step, dims=1) - read
            alike = [(own * own.roll(step, dims=1)).sum(-1, keepdim=True) for own in plain]
            positive = positive + self._refine(self.tokens + read - alike[0] * away)
            negative = negative + self._refine(self.tokens - read + alike[1] * away)
        return Patterns(unit(positive), unit(negative))
