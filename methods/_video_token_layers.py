"""MoLo's layers: frames, or steps between them, read together with a token of the whole video."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from bench.method import Settings
from methods.parts.alignment import hausdorff_distances
from methods.parts.attention import SelfAttention, heads_for
from methods.parts.frames import Frames, frame_cosines, frame_vectors
from methods.parts.positions import hyrsm_positions

COSINE_EPSILON = 0.01
"""Added to the product of the norms in every cosine."""
MOTION_REDUCTION = 8
"""The motion branch works on one channel in eight."""

POSITION_DROPOUT, ATTENTION_DROPOUT, FEED_FORWARD_DROPOUT = 0.1, 0.2, 0.05


@dataclass(frozen=True)
class MoLoSettings(Settings):
    """Settings of MoLo; loss weights as the authors' for SSv2-Small."""

    motion: bool = True
    """Whether motion between frames is read too, where there are maps and several frames."""
    motion_weight: float = 0.3
    heads: int = 8
    width: int = 2048
    """Hidden width of the transformer layers, whatever the number of channels."""
    position_a: float = 10.0
    """Tokens are multiplied by sqrt(C / position_a) before the positions are added."""
    position_b: float = 1.0
    """The table of positions is multiplied by it."""
    contrastive_weight: float = 0.05
    classes: int = 0
    """Training classes of the video classifier; 0 leaves it and its loss term out."""
    class_weight: float = 0.15


class Likeness(NamedTuple):
    """What one branch says of every query and class, (episodes, queries, way) each."""

    match: Tensor
    """Minus the set distance of frame tokens."""
    support_to_query: Tensor
    """Minus the distances of the support's frame tokens to the query's video token, summed."""
    query_to_support: Tensor
    """The same the other way round."""


class TransformerLayer(nn.Module):
    """Prepend a learned video token, add positions, let all tokens read each other, ReLU."""

    def __init__(self, channels: int, options: MoLoSettings) -> None:
        """Build it for tokens of ``channels``."""
        super().__init__()
        self.options = options
        self.video_token = nn.Parameter(torch.randn(channels))
        self.scale = nn.Parameter(torch.ones(()))
        """Of the branch's contrastive scores."""
        self.dropout = nn.Dropout(POSITION_DROPOUT)
        self.attention = SelfAttention(
            channels, heads_for(channels, options.heads), ATTENTION_DROPOUT
        )
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, options.width),
            nn.GELU(),
            nn.Dropout(FEED_FORWARD_DROPOUT),
            nn.Linear(options.width, channels),
            nn.Dropout(FEED_FORWARD_DROPOUT),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(videos, T, C) -> (videos, 1 + T, C)."""
        tokens = torch.cat([self.video_token.expand(len(frames), 1, -1), frames], dim=1)
        placed = hyrsm_positions(tokens, self.options.position_a, self.options.position_b)
        read = self.attention(self.dropout(placed))
        return relu(read + self.feed_forward(read))

    def compare(self, support: Tensor, query: Tensor) -> Likeness:
        """Tokens (episodes, way, 1 + T, C) and (episodes, queries, 1 + T, C)."""
        shown, asked = _with_norms(support.unsqueeze(2)), _with_norms(query)
        distances = 1 - frame_cosines(asked, shown, COSINE_EPSILON).squeeze(3)
        return Likeness(
            -hausdorff_distances(distances[..., 1:, 1:]),
            -self.scale * distances[..., 0, 1:].sum(dim=-1),
            -self.scale * distances[..., 1:, 0].sum(dim=-1),
        )


class MotionLayer(TransformerLayer):
    """The same for steps between frames: a convolved map minus the one before it."""

    def __init__(self, channels: int, options: MoLoSettings) -> None:
        """Build it for maps of ``channels``."""
        super().__init__(channels, options)
        few = max(1, channels // MOTION_REDUCTION)
        self.reduce = nn.Conv3d(channels, few, kernel_size=3, padding=1)
        self.next = nn.Conv3d(few, few, kernel_size=(1, 3, 3), padding=(0, 1, 1))
        self.expand = nn.Conv3d(few, channels, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> (videos, 1 + T - 1, C)."""
        reduced = self.reduce(maps)
        steps = self.next(reduced[:, :, 1:]) - reduced[:, :, :-1]
        return super().forward(frame_vectors(relu(self.expand(steps))))


def _with_norms(tokens: Tensor) -> Frames:
    return Frames(tokens, torch.linalg.vector_norm(tokens, dim=-1))
