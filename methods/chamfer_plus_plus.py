"""Chamfer++: Chamfer matching of triples of frames, over all shots of a class at once.

Matching frames one by one forgets their order. A triple of frames, taken in order and seen as one
vector, says what came before what; so all increasing triples of a video are formed, projected and
normalised, and compared as sets: each triple of the query with the nearest one in any shot of the
class, and each triple of the class with the nearest one of the query.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.frames import chamfer, cosines, frame_vectors
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
    source = """Bertrand, Kalantidis, Tolias, SCIA 2023, arXiv:2303.16084;
    jbertrand89/temporal_matching at 4f14d68"""
    differs = """nothing from the authors' code, but that the projection never widens: 1152 numbers
    for a tuple, or as many as the tuple has if fewer, and that tuples hold no more frames than the
    video; temperatures as for SSv2, 1-shot"""
    needs = "frames"
    order_aware = True
    Settings = ChamferPlusPlusSettings
    settings: ChamferPlusPlusSettings
    index: Tensor

    def __init__(
        self, shape: FeatureShape, settings: ChamferPlusPlusSettings | None = None
    ) -> None:
        super().__init__(shape, settings)
        cardinality = min(self.settings.cardinality, shape.frames)
        width = tuple_width(self.settings.width, cardinality, shape.channels)
        self.register_buffer("index", tuple_index(shape.frames, cardinality), persistent=False)
        self.projection = nn.Linear(cardinality * shape.channels, width)
        self.norm = nn.LayerNorm(width)
        self.temperature = nn.Parameter(torch.tensor([0.1]))

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> projected tuples (videos, tuples, width)."""
        weight, bias = self.projection.weight, self.projection.bias
        return self.norm(project_tuples(frame_vectors(features), self.index, weight, bias))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, tuples, width) -> (episodes, way, shot * tuples, width)."""
        return support.flatten(2, 3)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, tuples, width) -> (episodes, queries, way)."""
        M = cosines(query, state, self.settings.epsilon)
        return self.settings.temperature * self.temperature * chamfer(M, "both")
