"""MoLo: frames and motion read against the whole video, matched as sets."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.method import FeatureShape, LabelledEpisodes, Method, register
from methods._precision import in_own_precision
from methods._video_token_layers import Likeness, MoLoSettings, MotionLayer, TransformerLayer
from methods.parts.frames import frame_vectors


class Tokens(NamedTuple):
    """A token of the whole video, then one of each frame or of each step between frames."""

    frames: Tensor
    """(..., 1 + T, C)"""
    motion: Tensor
    """(..., T, C), or (..., 0, C) without the motion branch"""


def _branch_names(branch: str, suffix: str) -> dict[str, str]:
    """Authors' names of a branch's parameters -> ours."""
    layer = f"temporal_atte_before{suffix}.layers.0"
    parts = {
        f"{layer}.0.norm": "attention.norm",
        f"{layer}.0.fn.to_out.0": "attention.project_out",
        f"{layer}.1.net.0": "feed_forward.0",
        f"{layer}.1.net.3": "feed_forward.3",
    }
    return {
        f"class_token{suffix}": f"{branch}.video_token",
        f"scale{suffix}": f"{branch}.scale",
        f"{layer}.0.fn.to_qkv.weight": f"{branch}.attention.project_in.weight",
    } | _with_biases({theirs: f"{branch}.{ours}" for theirs, ours in parts.items()})


def _with_biases(layers: Mapping[str, str]) -> dict[str, str]:
    """Names of layers -> names of their weights and biases."""
    return {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in layers.items()
        for kind in ("weight", "bias")
    }


@register
class MoLo(Method):
    """Motion-augmented long-short contrastive learning: frames that know their video."""

    name = "molo"
    revision = 1
    source = "Wang et al., CVPR 2023, arXiv:2304.00946; alibaba-mmai-research/MoLo at f7f73b6"
    differs = (
        "frozen features instead of a trained backbone; no decoder of pixel differences and no"
        " reconstruction loss (features have no pixels; it plays no part in evaluation); no"
        " motion branch for 1 x 1 maps or a single frame; 8 heads only if they divide the"
        " channels, else the largest number that divides both; the video classifier only where"
        " classes are given"
    )
    needs = "maps"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"molo-frame": {"motion": False}}
    authors_names: ClassVar[Mapping[str, str]] = {
        **_branch_names("frames", ""),
        **_branch_names("motion", "_motion"),
        **_with_biases(
            {
                "motion_reduce": "motion.reduce",
                "motion_conv": "motion.next",
                "motion_up": "motion.expand",
                "classification_layer": "head",
            }
        ),
    }
    Settings = MoLoSettings
    settings: MoLoSettings

    def __init__(self, shape: FeatureShape, settings: MoLoSettings | None = None) -> None:
        """Build the method for features of ``shape``."""
        super().__init__(shape, settings)
        options, channels = self.settings, shape.channels
        moves = options.motion and shape.frames > 1 and shape.height * shape.width > 1
        self.frames = TransformerLayer(channels, options)
        self.motion = MotionLayer(channels, options) if moves else None
        self.head = nn.Linear(channels, options.classes) if options.classes else None

    def encode(self, features: Tensor) -> Tokens:
        """(videos, C, T, H, W) -> tokens of both branches, each video by itself."""
        features = in_own_precision(self, features)
        frames = self.frames(frame_vectors(features))
        return Tokens(frames, frames[:, :0] if self.motion is None else self.motion(features))

    def adapt(self, support: Tokens) -> Tokens:
        """(episodes, way, shot, tokens, C) -> mean over the shots, (episodes, way, tokens, C)."""
        return Tokens(*(tokens.mean(dim=2) for tokens in support))

    def score(self, state: Tokens, query: Tokens) -> Tensor:
        """Minus the weighted set distances of the branches: (episodes, queries, way)."""
        return self._match(self.compare(state, query))

    def compare(self, state: Tokens, query: Tokens) -> list[Likeness]:
        """Scores of the frame branch and, if there is one, of the motion branch."""
        branches = [self.frames.compare(state.frames, query.frames)]
        if self.motion is not None:
            branches.append(self.motion.compare(state.motion, query.motion))
        return branches

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the episode, of video tokens against frames, of training classes."""
        support, query = cast(Tokens, episodes.support), cast(Tokens, episodes.query)
        branches = self.compare(self.adapt(support), query)
        labels = episodes.labels.flatten()
        long_short = [
            cross_entropy(scores.flatten(0, 1), labels)
            for branch in branches
            for scores in (branch.support_to_query, branch.query_to_support)
        ]
        terms = {
            "episode": cross_entropy(self._match(branches).flatten(0, 1), labels),
            "contrastive": self.settings.contrastive_weight * torch.stack(long_short).sum(),
        }
        if self.head is not None:
            terms["classes"] = self.settings.class_weight * self._class_loss(self.head, episodes)
        return terms

    def _match(self, branches: list[Likeness]) -> Tensor:
        frames, *motion = (branch.match for branch in branches)
        return frames + self.settings.motion_weight * motion[0] if motion else frames

    def _class_loss(self, head: nn.Module, episodes: LabelledEpisodes) -> Tensor:
        """Mean cross-entropy of all videos among the training classes."""
        support, query = cast(Tokens, episodes.support), cast(Tokens, episodes.query)
        videos = torch.cat([summary(support).flatten(0, 2), summary(query).flatten(0, 1)])
        of_support = episodes.classes.unsqueeze(2).expand(support.frames.shape[:3])
        of_query = episodes.classes.gather(1, episodes.labels)
        labels = torch.cat([of_support.flatten(), of_query.flatten()])
        return cross_entropy(head(videos), labels)


def summary(videos: Tokens) -> Tensor:
    """What the classifier sees: the branches' mean tokens, added up: (..., C)."""
    frames = videos.frames.mean(dim=-2)
    has_motion = videos.motion.shape[-2] > 0
    return frames + videos.motion.mean(dim=-2) if has_motion else frames
