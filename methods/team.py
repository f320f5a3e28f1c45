"""TEAM: videos as answers to a fixed set of questions, so that nothing is aligned in time.

Methods that match frames have to decide which frame belongs to which, for every pair of videos.
TEAM asks every video the same M questions instead. A pattern token is a learned vector; it attends
to the frames of a video and reads from them what fits it. Token plus reading is a positive pattern,
what the video has of it; token minus reading is a negative pattern, what the video lacks. Two
videos are compared token by token, by M cosines, whatever their lengths and speeds.

Patterns that similar classes have in common tell nothing. So those of a class are moved away from
those of each other class, the further the more similar the two are (adaptation). And a query should
not only be near the positive patterns of its class (positive distance): it should also lack what
the other classes have, and have what they lack (negative distance).

Letters: N way, S shots, Q queries; X frames, P tokens, o what tokens read, e the similarity of two
classes, f the refinement. The formulas are those of the authors' code.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.frames import frame_vectors
from methods.parts.positions import usual_positions

DROPOUT = 0.1
"""The authors' dropout, after the positions, on the attention weights and on what is read."""
NOMINAL_HEADS = 8
"""The attention has one head, but is scaled for the width of one of eight."""
SHORTEST = 1e-8
"""Least length that a token is divided by in a cosine."""


class Patterns(NamedTuple):
    """Patterns that videos have and those that they lack, (episodes, videos, M, C) of length 1."""

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class TEAMSettings(Settings):
    """Settings of TEAM."""

    tokens: int = 60
    """Learned pattern tokens; the authors' scripts take 50 to 80."""
    position_scale: float = 0.1
    matching: Literal["both", "positive", "negative"] = "both"
    """Distances that are added up for the score."""
    adapted: bool = True
    """Whether a class's tokens are moved away from those of the other classes."""


@register
class TEAM(Method):
    """Temporal-alignment-free matching: patterns that are in a video, and those that are not."""

    name = "team"
    source = "Lee et al., CVPR 2025, arXiv:2504.05956; leesb7426/TEAM at 8bd6b6e"
    differs = """frozen features instead of a trained backbone; scaled by sqrt(C / 8) also where 8
    does not divide the channels; under dropout a video has one reading, the authors draw a new one
    for the adaptation"""
    needs = "frames"
    order_aware = True
    variants = {
        "team-pos": {"matching": "positive", "adapted": False},
        "team-neg": {"matching": "negative", "adapted": False},
        "team-without-adaptation": {"adapted": False},
    }
    Settings = TEAMSettings
    settings: TEAMSettings

    def __init__(self, shape: FeatureShape, settings: TEAMSettings | None = None) -> None:
        super().__init__(shape, settings)
        channels = shape.channels
        self.tokens = nn.Parameter(torch.randn(self.settings.tokens, channels))
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.dropout = nn.Dropout(DROPOUT)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def adapt(self, support: Tensor) -> Patterns:
        """(episodes, N, S, T, C) -> patterns of each class, (episodes, N, M, C) twice."""
        o = self.read(support.mean(dim=2))
        plain = self.patterns(o)
        return self.move_apart(o, plain) if self.settings.adapted else plain

    def score(self, state: Patterns, query: Tensor) -> Tensor:
        """Minus the sum of the chosen distances: (episodes, Q, T, C) -> (episodes, Q, N)."""
        positive, negative = self.scores(state, query)
        chosen = {"both": positive + negative, "positive": positive, "negative": negative}
        return chosen[self.settings.matching]

    def scores(self, state: Patterns, query: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the positive and minus the negative distance, (episodes, Q, N) each."""
        asked = self.patterns(self.read(query))
        lacking = largest_of_others(token_distances(state.positive, asked.negative))
        having = largest_of_others(token_distances(state.negative, asked.positive))
        return -token_distances(state.positive, asked.positive), -(lacking + having) / 2

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the positive and of the negative distances."""
        both = self.scores(self.adapt(episodes.support), episodes.query)
        labels = episodes.labels.flatten()
        positive, negative = (cross_entropy(scores.flatten(0, 1), labels) for scores in both)
        if self.settings.matching == "positive":
            return {"positive": positive}
        return {"positive": positive, "negative": negative}

    def read(self, frames: Tensor) -> Tensor:
        """Read o = softmax(LN(P) LN(X)' / sqrt(C / 8)) LN(X): (..., T, C) -> (..., M, C)."""
        placed = usual_positions(frames, self.settings.position_scale)
        X = self.norm(self.dropout(placed))
        products = self.norm(self.tokens) @ X.mT
        weights = (products * (NOMINAL_HEADS / self.shape.channels) ** 0.5).softmax(dim=-1)
        return self.dropout(self.dropout(weights) @ X)

    def refine(self, x: Tensor) -> Tensor:
        """f(x) = relu(x + MLP(x)), token by token: (..., M, C) -> (..., M, C)."""
        return relu(x + self.mlp(x))

    def patterns(self, o: Tensor) -> Patterns:
        """f(P + o) and f(P - o), at length 1."""
        return Patterns(unit(self.refine(self.tokens + o)), unit(self.refine(self.tokens - o)))

    def move_apart(self, o: Tensor, plain: Patterns) -> Patterns:
        """Move the patterns of each class n away from those of every other class m.

        The mean over m of f(P + o_n - e_nm (o_m - o_n)), and of f(P - o_n + e'_nm (o_m - o_n)), in
        which e and e' are the cosines of the plain positive and negative patterns of n and m.
        """
        positive, negative = torch.zeros_like(o), torch.zeros_like(o)
        # All pairs at once would take N times the memory. The sum over m has the direction of the
        # mean, and only directions are compared.
        for step in range(1, o.shape[1]):
            away = o.roll(step, dims=1) - o
            e, e_ = ((own * own.roll(step, dims=1)).sum(dim=-1, keepdim=True) for own in plain)
            positive = positive + self.refine(self.tokens + o - e * away)
            negative = negative + self.refine(self.tokens - o + e_ * away)
        return Patterns(unit(positive), unit(negative))


def unit(tokens: Tensor) -> Tensor:
    """L2-normalise tokens (..., C); zero vectors stay zero."""
    return normalize(tokens, dim=-1, eps=SHORTEST)


def token_distances(support: Tensor, query: Tensor) -> Tensor:
    """Sum over tokens of 1 - cosine: (episodes, N, M, C), (episodes, Q, M, C) -> (..., Q, N)."""
    return support.shape[2] - query.flatten(2) @ support.flatten(2).mT


def largest_of_others(distances: Tensor) -> Tensor:
    """Largest distance to any class but the one itself, for each: (episodes, Q, N)."""
    itself = torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device)
    return distances.unsqueeze(-2).masked_fill(itself, -torch.inf).amax(dim=-1)
