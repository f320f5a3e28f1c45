"""Temporal-relational cross-transformers (TRX)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, Method, Settings, register
from bench.reference import Golden, adopt, reproduces
from methods._frames import frame_vectors
from methods._precision import in_own_precision
from methods._reference_episode import encode_stored, stored_shape
from methods._tuples import TupleAttention, tuple_scores

Tuples = tuple[Tensor, ...]
"""Keys and values for each cardinality in turn, each (..., tuples, width)."""


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
        """(videos, C, T, H, W) -> keys and values of its tuples."""
        frames = frame_vectors(in_own_precision(self, features))
        return tuple(tensor for head in self.heads for tensor in head(frames))

    def adapt(self, support: Tuples) -> Tuples:
        """Keep the tuples of the support videos, each (episodes, way, shot, tuples, width)."""
        return support

    def score(self, state: Tuples, query: Tuples) -> Tensor:
        """Tuples (episodes, queries, tuples, width) -> (episodes, queries, way)."""
        return torch.stack(self.scores_by_cardinality(state, query)).mean(dim=0)

    def scores_by_cardinality(self, state: Tuples, query: Tuples) -> list[Tensor]:
        """Scores of each cardinality alone, each (episodes, queries, way)."""
        pairs = zip(_by_cardinality(state), _by_cardinality(query), strict=True)
        return [tuple_scores(of_support, of_query) for of_support, of_query in pairs]


def _by_cardinality(tuples: Tuples) -> Iterable[tuple[Tensor, Tensor]]:
    """Keys and values of each cardinality."""
    return zip(tuples[::2], tuples[1::2], strict=True)


@reproduces("trx/logits", "trx/cardinality*/logits")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of the authors: one cardinality, or the mean of all."""
    sizes = tuple(size for size in range(1, 9) if f"trx/cardinality{size}/logits" in golden)
    width = len(golden.tensor(f"trx/cardinality{sizes[0]}/weight/k_linear.bias"))
    weights = {
        f"transformers.{head}.{name}": weight
        for head, size in enumerate(sizes)
        for name, weight in golden.weights(f"trx/cardinality{size}/weight/").items()
    }
    method = TRX(stored_shape(golden), TrxSettings(cardinalities=sizes, width=width))
    adopt(method, weights)
    support, query = encode_stored(golden, method)
    if output == "trx/logits":
        return method.score(method.adapt(support), query)[0]
    scores = method.scores_by_cardinality(method.adapt(support), query)
    return dict(zip(sizes, scores, strict=True))[int(output.removesuffix("/logits")[-1])][0]
