"""MoLo: motion-augmented long-short contrastive learning.

A frame matched by itself knows nothing of the action around it. MoLo makes each frame aware of the
whole video: a learned token of the *whole video* (long) is put in front of the frames (short), and
all attend to each other. In training, the frames of a support video have to find the query of their
class by its video token alone, and the other way round.

Two such branches run side by side. One reads the frames, the other the *motion* between them: the
difference of neighbouring feature maps, the later one convolved once more. Videos are matched frame
by frame as sets, as in HyRSM, and the distances of the two branches are added up.

The authors also decode pixel differences from the motion in training; features have no pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.attention import SelfAttention, heads_for
from methods.parts.class_loss import class_entropy
from methods.parts.frames import cosines, frame_vectors, hausdorff_distances
from methods.parts.positions import hyrsm_positions

COSINE_EPSILON = 0.01
"""Added to the product of the norms in every cosine, unlike in HyRSM."""
MOTION_REDUCTION = 8
"""Ratio of the features' channels to those of the motion branch."""


@dataclass(frozen=True)
class MoLoSettings(Settings):
    """Settings of MoLo; loss weights as the authors' for SSv2-Small."""

    motion: bool = True
    """Whether motion between frames is read too, where there are maps and several frames."""
    motion_weight: float = 0.3
    heads: int = 8
    width: int = 2048
    """Hidden width of the feed-forward networks, whatever the number of channels."""
    position_a: float = 10.0
    """Tokens are multiplied by sqrt(C / position_a) before the positions are added."""
    position_b: float = 1.0
    """The table of positions is multiplied by it."""
    contrastive_weight: float = 0.05
    classes: int = 0
    """Training classes of the video classifier; 0 leaves it and its loss term out."""
    class_weight: float = 0.15


class Tokens(NamedTuple):
    """Tokens of videos, in either branch that of the whole video first: (..., 1 + T, C)."""

    frames: Tensor
    motion: Tensor
    """One less, as there are T - 1 steps, or none without the motion branch."""


class Similarities(NamedTuple):
    """Similarities of every query and class in one branch, (episodes, queries, way) each."""

    match: Tensor
    """Minus the set distance between their frames."""
    support_to_query: Tensor
    """Minus the distances of the support's frames to the query's video token, summed and scaled."""
    query_to_support: Tensor
    """Minus those of the query's frames to the support's video token."""


class FrameBranch(nn.Module):
    """One layer of a transformer over the frames of a video and a learned token of the whole."""

    def __init__(self, channels: int, options: MoLoSettings) -> None:
        super().__init__()
        self.options = options
        self.video_token = nn.Parameter(torch.randn(channels))
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(0.1)
        self.attention = SelfAttention(channels, heads_for(channels, options.heads), dropout=0.2)
        self.feed_forward = nn.Sequential(
            *(nn.Linear(channels, options.width), nn.GELU(), nn.Dropout(0.05)),
            *(nn.Linear(options.width, channels), nn.Dropout(0.05)),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(videos, T, C) -> tokens (videos, 1 + T, C), the video's first."""
        tokens = torch.cat([self.video_token.expand(len(frames), 1, -1), frames], dim=1)
        placed = hyrsm_positions(tokens, self.options.position_a, self.options.position_b)
        tokens = self.attention(self.dropout(placed))
        return relu(tokens + self.feed_forward(tokens))

    def compare(self, support: Tensor, query: Tensor) -> Similarities:
        """Tokens (episodes, way, 1 + T, C) and (episodes, queries, 1 + T, C)."""
        distances = 1 - cosines(query, support, COSINE_EPSILON)  # (..., query's, support's)
        return Similarities(
            -hausdorff_distances(distances[..., 1:, 1:]),
            -self.scale * distances[..., 0, 1:].sum(dim=-1),
            -self.scale * distances[..., 1:, 0].sum(dim=-1),
        )


class MotionBranch(FrameBranch):
    """A branch over the steps between frames."""

    def __init__(self, channels: int, options: MoLoSettings) -> None:
        super().__init__(channels, options)
        few = max(1, channels // MOTION_REDUCTION)
        self.reduce = nn.Conv3d(channels, few, kernel_size=3, padding=1)
        self.next = nn.Conv3d(few, few, kernel_size=(1, 3, 3), padding=(0, 1, 1))
        self.expand = nn.Conv3d(few, channels, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> tokens (videos, 1 + T - 1, C), the video's first."""
        reduced = self.reduce(maps)
        steps = self.next(reduced[:, :, 1:]) - reduced[:, :, :-1]
        return super().forward(frame_vectors(relu(self.expand(steps))))


@register
class MoLo(Method):
    """Motion-augmented long-short contrastive learning: frames that know their video."""

    name = "molo"
    source = "Wang et al., CVPR 2023, arXiv:2304.00946; alibaba-mmai-research/MoLo at f7f73b6"
    differs = """frozen features instead of a trained backbone; no decoder of pixel differences and
    no reconstruction loss (features have no pixels; it plays no part in evaluation); no motion
    branch for 1 x 1 maps or a single frame; 8 heads only if they divide the channels, else the
    largest number that divides both; the video classifier only where classes are given"""
    needs = "maps"
    order_aware = True
    variants = {"molo-frame": {"motion": False}}
    Settings = MoLoSettings
    settings: MoLoSettings

    def __init__(self, shape: FeatureShape, settings: MoLoSettings | None = None) -> None:
        super().__init__(shape, settings)
        options, channels = self.settings, shape.channels
        moves = options.motion and shape.frames > 1 and shape.height * shape.width > 1
        self.frames = FrameBranch(channels, options)
        self.motion = MotionBranch(channels, options) if moves else None
        self.head = nn.Linear(channels, options.classes) if options.classes else None

    def encode(self, features: Tensor) -> Tokens:
        """(videos, C, T, H, W) -> tokens of both branches, each video by itself."""
        frames = self.frames(frame_vectors(features))
        return Tokens(frames, frames[:, :0] if self.motion is None else self.motion(features))

    def adapt(self, support: Tokens) -> Tokens:
        """(episodes, way, shot, tokens, C) -> means over the shots, (episodes, way, tokens, C)."""
        return Tokens(*(tokens.mean(dim=2) for tokens in support))

    def score(self, state: Tokens, query: Tokens) -> Tensor:
        """Minus the weighted set distances of the branches: (episodes, queries, way)."""
        return self.combine(self.compare(state, query))

    def compare(self, state: Tokens, query: Tokens) -> list[Similarities]:
        """Compare the frames and, where there is a branch for it, the motion."""
        branches = [self.frames.compare(state.frames, query.frames)]
        if self.motion is not None:
            branches.append(self.motion.compare(state.motion, query.motion))
        return branches

    def combine(self, branches: list[Similarities]) -> Tensor:
        """Add up the matches of the branches, that of the motion weighted."""
        frames, *motion = (branch.match for branch in branches)
        return frames + self.settings.motion_weight * motion[0] if motion else frames

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the episode, of frames against video tokens, and of training classes."""
        own, labels = self.settings, episodes.labels.flatten()
        branches = self.compare(self.adapt(episodes.support), episodes.query)
        long_short = [
            cross_entropy(scores.flatten(0, 1), labels)
            for branch in branches
            for scores in (branch.support_to_query, branch.query_to_support)
        ]
        terms = {
            "episode": cross_entropy(self.combine(branches).flatten(0, 1), labels),
            "contrastive": own.contrastive_weight * torch.stack(long_short).sum(),
        }
        if self.head is not None:
            sides = summary(episodes.support), summary(episodes.query)
            terms["classes"] = own.class_weight * class_entropy(self.head, *sides, episodes)
        return terms


def summary(videos: Tokens) -> Tensor:
    """Sum of the branches' mean tokens, for the video classifier: (..., C)."""
    frames = videos.frames.mean(dim=-2)
    has_motion = videos.motion.shape[-2] > 0
    return frames + videos.motion.mean(dim=-2) if has_motion else frames
