"""OTAM, ordered temporal alignment: align the frames of two videos in order, and score the cost.

Two videos of one action show the same stages in the same order, though not at the same time, and
not from the first frame to the last. So a query is compared with a support video by the cheapest
way of matching their frames that never goes back in time and may leave out frames at either end.
Distances between frames are cosine distances. The minimum over all paths is relaxed to a smooth
one, so that training reaches every frame. The cheaper the alignment, the more similar the videos.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bench.method import PairMethod, Settings, register
from methods.parts.alignment import Padding, Relaxation, alignment_costs
from methods.parts.frames import cosines, frame_vectors


@dataclass(frozen=True)
class OtamSettings(Settings):
    """Differences between the code bases that use OTAM."""

    temperature: float = 0.1
    """λ of the smooth minimum; the smaller, the closer to the exact one."""
    directions: Literal["both", "mean of both", "one", "reversed"] = "both"
    """Align with the query's frames as the rows (one), and also with the support video's: their sum
    (both) or mean; or the mean over the videos as they are and both reversed in time (reversed)."""
    padding: Padding = "perrett"
    """Columns where a path may skip frames: see `methods.parts.alignment.alignment_costs`."""
    relaxation: Relaxation = "soft"
    """Smooth or exact minimum."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""


class Frames(NamedTuple):
    """Frame vectors (..., T, C) of videos, and their norms (..., T)."""

    vectors: Tensor
    lengths: Tensor


@register
class OTAM(PairMethod):
    """Score a query by the cost of aligning its frames with those of a support video, in order."""

    name = "otam"
    source = """Cao, Ji, Cao, Chang, Niebles, CVPR 2020, arXiv:1906.11415; as in
    tobyperrett/few-shot-action-recognition at 3687f3a"""
    differs = """nothing from the code named (default); the paper aligns one way and lets paths
    repeat the padded columns only (otam-paper). Features are not trained here. The variants of
    other code bases take the plain cosine; reversing both videos belongs to otam-reversed alone"""
    needs = "frames"
    order_aware = True
    variants = {
        "otam-paper": {"padding": "paper", "directions": "one", "epsilon": 0.0},
        "otam-ta2n": {"padding": "ta2n-rows", "directions": "mean of both", "epsilon": 0.0},
        "otam-hard": {"relaxation": "hard"},
        "otam-reversed": {"directions": "reversed", "epsilon": 0.0},
        "otam-clip-fsar": {"temperature": 0.5},
    }
    Settings = OtamSettings
    settings: OtamSettings

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C) and their lengths (videos, T)."""
        vectors = frame_vectors(features)
        return Frames(vectors, vectors.norm(dim=-1))

    def similarity(self, query: Frames, support: Frames) -> Tensor:
        """Frames (..., A, T) and (..., B, T) -> minus the costs, (..., A, B)."""
        lengths = query.lengths, support.lengths
        D = 1 - cosines(query.vectors, support.vectors, self.settings.epsilon, lengths)
        alignments = {
            "one": [D],
            "both": [D, D.mT],
            "mean of both": [D, D.mT],
            "reversed": [D, D.flip(-2, -1)],
        }[self.settings.directions]
        setting = self.settings
        how = setting.temperature, setting.padding, setting.relaxation
        costs = alignment_costs(torch.stack(alignments), *how)
        return -(costs.sum(dim=0) if setting.directions == "both" else costs.mean(dim=0))
