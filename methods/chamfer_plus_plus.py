"""Chamfer++: Chamfer matching of projected triples of frames, all shots of a class at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision
from methods.parts.frames import Frames, frame_cosines, frame_vectors
from methods.parts.tuples import project_tuples, tuple_index, tuple_width


@dataclass(frozen=True)
class ChamferPlusPlusSettings(Settings):
    """Settings of `ChamferPlusPlus`."""

    cardinality: int = 3
    """Frames in a tuple."""
    width: int | None = None
    """Numbers that a tuple is mapped to; 1152, or all it has if fewer, unless given."""
    temperature: float = 100.0
    """Fixed factor of the scores; the learned one starts at 0.1."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""


@register
class ChamferPlusPlus(Method):
    """Match tuples of frames both ways; a query tuple may find its nearest in any of the shots."""

    name = "chamfer++"
    revision = 1
    source = (
        "Bertrand, Kalantidis, Tolias, SCIA 2023, arXiv:2303.16084;"
        " jbertrand89/temporal_matching at 4f14d68"
    )
    differs = (
        "nothing from the authors' code, but that the projection never widens: 1152 numbers for a"
        " tuple, or as many as the tuple has if fewer, and that tuples hold no more frames than"
        " the video; temperatures as for SSv2, 1-shot"
    )
    needs = "frames"
    order_aware = True
    authors_names: ClassVar[Mapping[str, str]] = {
        "fc.weight": "projection.weight",
        "fc.bias": "projection.bias",
        "layer_norm.weight": "norm.weight",
        "layer_norm.bias": "norm.bias",
        "temperature_weight": "temperature",
    }
    Settings = ChamferPlusPlusSettings
    settings: ChamferPlusPlusSettings
    index: Tensor

    def __init__(
        self, shape: FeatureShape, settings: ChamferPlusPlusSettings | None = None
    ) -> None:
        """Build the projection of tuples."""
        super().__init__(shape, settings)
        cardinality = min(self.settings.cardinality, shape.frames)
        width = tuple_width(self.settings.width, cardinality, shape.channels)
        self.register_buffer("index", tuple_index(shape.frames, cardinality), persistent=False)
        self.projection = nn.Linear(cardinality * shape.channels, width)
        self.norm = nn.LayerNorm(width)
        self.temperature = nn.Parameter(torch.tensor([0.1]))

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> projected tuples (videos, tuples, width) and their norms."""
        frames = frame_vectors(in_own_precision(self, features))
        weight, bias = self.projection.weight, self.projection.bias
        tuples = self.norm(project_tuples(frames, self.index, weight, bias))
        return Frames(tuples, torch.linalg.vector_norm(tuples, dim=-1))

    def adapt(self, support: Frames) -> Frames:
        """Keep the support tuples, (episodes, way, shot, tuples, width)."""
        return support

    def score(self, state: Frames, query: Frames) -> Tensor:
        """Tuples (episodes, queries, tuples, width) -> (episodes, queries, way)."""
        of_query, of_support = [], []
        # One shot at a time keeps the cosines of all pairs of tuples small.
        for shot in range(state.norms.shape[2]):
            one = Frames(*(part[:, :, shot : shot + 1] for part in state))
            cosines = frame_cosines(query, one, self.settings.epsilon).squeeze(3)
            of_query.append(cosines.amax(dim=-1))
            of_support.append(cosines.amax(dim=-2).mean(dim=-1))
        nearest = torch.stack(of_query).amax(dim=0).mean(dim=-1)
        chamfer = (nearest + torch.stack(of_support).mean(dim=0)) / 2
        return self.settings.temperature * self.temperature * chamfer
