"""Temporal-relational cross-transformers (TRX).

An action is a course of events, and no single frame shows it: opening and closing a door have the
same frames. TRX therefore compares *tuples*: every choice of two frames of a video, or of three, in
their order and however far apart. It cannot be known where in a video a sub-action happens, or how
fast. So attention finds what resembles a tuple of the query, among all tuples of all the class's
support videos at once, and mixes it into a prototype that is made for this one tuple. The query
belongs to the class whose prototypes are nearest to its tuples.

Tuples of each cardinality have an attention of their own, described with its equations in
`methods.parts.tuple_attention`; the score is the mean over cardinalities.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.frames import frame_vectors
from methods.parts.tuple_attention import TupleAttention, Tuples


@dataclass(frozen=True)
class TrxSettings(Settings):
    """Settings of `TRX`."""

    cardinalities: tuple[int, ...] = (2, 3)
    """Numbers of frames in a tuple; the scores of all are averaged."""
    width: int | None = None
    """Width of keys and values; by default 1152, or what a tuple has if that is less."""


@register
class TRX(Method):
    """Compare each tuple of query frames with a mixture of the class's tuples made for it."""

    name = "trx"
    source = """Perrett, Masullo, Burghardt, Mirmehdi, Damen, CVPR 2021, arXiv:2101.06184;
    tobyperrett/trx at 390c20a, model.py"""
    differs = """nothing from the authors' code (the paper averages norms, the code their squares),
    but that a map never widens: 1152 numbers for a tuple, or as many as the tuple has if fewer;
    tuples hold no more frames than the video; the loss is averaged, not summed, over queries"""
    needs = "frames"
    order_aware = True
    variants = {
        "trx-1": {"cardinalities": (1,)},
        "trx-2": {"cardinalities": (2,)},
        "trx-3": {"cardinalities": (3,)},
        "trx-4": {"cardinalities": (4,)},
        "trx-234": {"cardinalities": (2, 3, 4)},
    }
    without_gradient = {"heads.*.value.bias": "cancels in the difference of query and prototype"}
    attention: ClassVar[type[TupleAttention]] = TupleAttention
    Settings = TrxSettings
    settings: TrxSettings

    def __init__(self, shape: FeatureShape, settings: TrxSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.heads = nn.ModuleList(
            self.attention(shape.frames, shape.channels, cardinality, self.settings.width)
            for cardinality in self.settings.cardinalities
        )

    def encode(self, features: Tensor) -> Tuples:
        """(videos, C, T, H, W) -> keys and values of its tuples, of each cardinality in turn."""
        frames = frame_vectors(features)
        return tuple(part for head in self.heads for part in head(frames))

    def score(self, support: Tuples, query: Tuples) -> Tensor:
        """(..., way, shot, tuples, width), (..., queries, tuples, width) -> (..., queries, way)."""
        return torch.stack(self.scores_by_cardinality(support, query)).mean(dim=0)

    def scores_by_cardinality(self, support: Tuples, query: Tuples) -> list[Tensor]:
        """Scores of each cardinality alone, each (episodes, queries, way)."""
        parts = len(query) // len(self.heads)
        return [
            cast(TupleAttention, head).scores(support[i : i + parts], query[i : i + parts])
            for head, i in zip(self.heads, range(0, len(query), parts), strict=True)
        ]
