"""Ordered temporal alignment (OTAM) on frame vectors, in the forms that are in use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.method import Compares, Method, Settings, register
from methods._alignment import Padding, Relaxation, alignment_costs
from methods._frames import Frames, encode_frames, frame_cosines, frame_vectors
from methods._traced_path import path_scores

LARGEST_DISTANCE = 2.0
"""Of two vectors, one minus their cosine."""
Directions = Literal["both", "mean of both", "one", "reversed"]


@dataclass(frozen=True)
class OtamSettings(Settings):
    """Settings of `OTAM`."""

    temperature: float = 0.1
    """Lambda of the smooth minimum; small is close to the exact one."""
    directions: Directions = "both"
    """Costs of one alignment (queries as rows), of both with their sum or mean, or the mean of one
    and the one with both videos reversed in time."""
    padding: Padding = "perrett"
    """Where a path may repeat a column: see `methods._alignment.alignment_costs`."""
    relaxation: Relaxation = "soft"
    """Smooth or exact minimum."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""


@register
class OTAM(Method):
    """Score a query by the cost of aligning its frames with those of a support video, in order.

    The ends of one video may stay unmatched. A class scores the mean over its shots.
    """

    name = "otam"
    revision = 1
    source = (
        "Cao, Ji, Cao, Chang, Niebles, CVPR 2020, arXiv:1906.11415; as in"
        " tobyperrett/few-shot-action-recognition at 3687f3a"
    )
    differs = (
        "nothing from the code named (default); the paper aligns one way and lets paths repeat the"
        " padded columns only (otam-paper). Features are not trained here. The variants of other"
        " code bases take the plain cosine; reversing both videos belongs to otam-reversed alone"
    )
    needs = "frames"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "otam-paper": {"padding": "paper", "directions": "one", "epsilon": 0.0},
        "otam-ta2n": {"padding": "ta2n-rows", "directions": "mean of both", "epsilon": 0.0},
        "otam-hard": {"relaxation": "hard"},
        "otam-reversed": {"directions": "reversed", "epsilon": 0.0},
        "otam-clip-fsar": {"temperature": 0.5},
    }
    Settings = OtamSettings
    settings: OtamSettings

    @property
    def compares(self) -> Compares:
        """Two videos are aligned without regard to others."""
        return "videos"

    @property
    def symmetric(self) -> bool:
        """Where rows and columns are aligned both ways."""
        return self.settings.directions in ("both", "mean of both")

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C) and norms (videos, T)."""
        return encode_frames(features)

    def adapt(self, support: Frames) -> Frames:
        """Keep the support frames: vectors (episodes, way, shot, T, C)."""
        return support

    def score(self, state: Frames, query: Frames) -> Tensor:
        """Vectors (episodes, queries, T, C) -> minus costs, (episodes, queries, way)."""
        distances = 1 - frame_cosines(query, state, self.settings.epsilon)
        return -self._costs(distances).mean(dim=-1)

    def _costs(self, distances: Tensor) -> Tensor:
        """(episodes, queries, way, shot, Tq, Ts) -> costs (episodes, queries, way, shot)."""
        setting = self.settings
        if setting.directions == "reversed":
            distances = torch.stack([distances, distances.flip(-2, -1)])
        both_ways = setting.directions in ("both", "mean of both")
        how = setting.temperature, setting.padding, setting.relaxation
        costs = alignment_costs(distances, *how, largest=LARGEST_DISTANCE, both_ways=both_ways)
        if setting.directions == "one":
            return costs
        return costs.sum(dim=0) if setting.directions == "both" else costs.mean(dim=0)


@register
class FslVideoOTAM(Method):
    """Score a query by the cosines along a hard alignment path, both ways, mean over the shots."""

    name = "otam-fsl-video"
    revision = 1
    source = (
        "Zhu, Wang, Guo, Wu, BMVC 2021, arXiv:2110.12358; MCG-NJU/FSL-Video at 5c3c050, otam.py;"
        " after Cao et al., CVPR 2020"
    )
    differs = (
        "nothing; the path is traced back over neighbours that the costs' own recursion forbids,"
        " as in the authors' code, so it can meet a frame twice and miss the last ones"
    )
    needs = "frames"
    order_aware = True

    @property
    def compares(self) -> Compares:
        """Two videos are aligned without regard to others."""
        return "videos"

    @property
    def symmetric(self) -> bool:
        """A path is sought both ways."""
        return True

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def adapt(self, support: Tensor) -> Tensor:
        """Keep the support frames, (episodes, way, shot, T, C)."""
        return support

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, T, C) -> sums of cosines (episodes, queries, way)."""
        cosines = torch.einsum(
            "eqtc,enksc->eqnkts",
            normalize(query.double(), dim=-1),
            normalize(state.double(), dim=-1),
        )
        scores = path_scores(cosines) + path_scores(cosines.mT)
        return scores.mean(dim=-1).to(query.dtype)
