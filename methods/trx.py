"""Temporal-relational cross-transformers (TRX)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision
from methods._tuple_attention import TupleAttention
from methods._tuple_parts import TupleParts
from methods.parts.frames import frame_vectors

Tuples = tuple[Tensor, ...]
"""The fields of `TupleParts` for each cardinality in turn."""


@dataclass(frozen=True)
class TrxSettings(Settings):
    """Settings of `TRX`."""

    cardinalities: tuple[int, ...] = (2, 3)
    """Sizes of tuples of frames, each with an attention of its own; the scores are averaged."""
    width: int | None = None
    """Numbers that a tuple is mapped to; 1152, or all it has if fewer, unless given."""


def _authors_names(cardinalities: int) -> dict[str, str]:
    parts = {"k_linear": "key", "v_linear": "value", "norm_k": "norm"}
    return {
        f"transformers.{head}.{theirs}.{kind}": f"heads.{head}.{ours}.{kind}"
        for head in range(cardinalities)
        for theirs, ours in parts.items()
        for kind in ("weight", "bias")
    }


@register
class TRX(Method):
    """Compare each tuple of query frames with a mixture of the class's tuples made for it.

    The mixture is an attention over the tuples of all of the class's support videos.
    """

    name = "trx"
    revision = 1
    source = (
        "Perrett, Masullo, Burghardt, Mirmehdi, Damen, CVPR 2021, arXiv:2101.06184;"
        " tobyperrett/trx at 390c20a, model.py"
    )
    differs = (
        "nothing from the authors' code (the paper averages norms, the code their squares), but"
        " that a map never widens: 1152 numbers for a tuple, or as many as the tuple has if fewer;"
        " tuples hold no more frames than the video; the loss is averaged, not summed, over queries"
    )
    needs = "frames"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "trx-1": {"cardinalities": (1,)},
        "trx-2": {"cardinalities": (2,)},
        "trx-3": {"cardinalities": (3,)},
        "trx-4": {"cardinalities": (4,)},
        "trx-234": {"cardinalities": (2, 3, 4)},
    }
    without_gradient: ClassVar[Mapping[str, str]] = {
        "heads.*.value.bias": "cancels in the difference of query and mixture"
    }
    authors_names: ClassVar[Mapping[str, str]] = _authors_names(2)
    Settings = TrxSettings
    settings: TrxSettings

    def __init__(self, shape: FeatureShape, settings: TrxSettings | None = None) -> None:
        """Build one attention for each cardinality."""
        super().__init__(shape, settings)
        self.heads = nn.ModuleList(
            TupleAttention(shape.frames, shape.channels, cardinality, self.settings.width)
            for cardinality in self.settings.cardinalities
        )
        # As many heads as there are cardinalities.
        self.authors_names = _authors_names(len(self.heads))  # type: ignore[misc]

    def encode(self, features: Tensor) -> Tuples:
        """(videos, C, T, H, W) -> its tuples, in parts."""
        frames = frame_vectors(in_own_precision(self, features))
        return tuple(tensor for head in self.heads for tensor in head(frames))

    def adapt(self, support: Tuples) -> Tuples:
        """Keep the tuples of the support videos, each (episodes, way, shot, ...)."""
        return support

    def score(self, state: Tuples, query: Tuples) -> Tensor:
        """Tuples (episodes, queries, ...) -> (episodes, queries, way)."""
        return torch.stack(self.scores_by_cardinality(state, query)).mean(dim=0)

    def scores_by_cardinality(self, state: Tuples, query: Tuples) -> list[Tensor]:
        """Scores of each cardinality alone, each (episodes, queries, way)."""
        pairs = zip(self.heads, _by_cardinality(state), _by_cardinality(query), strict=True)
        return [
            cast(TupleAttention, head).scores(of_support, of_query)
            for head, of_support, of_query in pairs
        ]


def _by_cardinality(tuples: Tuples) -> list[TupleParts]:
    """Tuples of each cardinality."""
    fields = len(TupleParts._fields)
    return [TupleParts(*tuples[i : i + fields]) for i in range(0, len(tuples), fields)]
