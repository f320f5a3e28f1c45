"""Ordered tuples of frames, and linear maps of their concatenated vectors."""

import itertools
import math

import torch
from torch import Tensor, nn

from methods._positions import usual_table

AUTHORS_WIDTH = 1152
"""Numbers that a tuple is mapped to in TRX, STRM and Chamfer++."""

POSITION_SCALE = 0.1
"""Factor of the positional table in TRX and STRM."""


def tuple_index(frames: int, cardinality: int) -> Tensor:
    """Every increasing choice of frames, in lexicographic order: int64 (tuples, cardinality).

    >>> tuple_index(3, 2).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    return torch.tensor(list(itertools.combinations(range(frames), cardinality)))


def tuple_width(asked: int | None, cardinality: int, channels: int) -> int:
    """Numbers to map a tuple to; unless asked for, the authors', but no more than it has.

    >>> tuple_width(None, 3, 2048), tuple_width(None, 3, 96), tuple_width(400, 3, 96)
    (1152, 288, 400)
    """
    return min(AUTHORS_WIDTH, cardinality * channels) if asked is None else asked


def project_tuples(frames: Tensor, index: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a linear map to each tuple's concatenated frames, frame by frame.

    The map of a concatenation is the sum of maps of its parts, so each frame is multiplied once
    for each place in a tuple, not once for each tuple.

    Args:
        frames: (videos, T, C).
        index: int64 (tuples, cardinality).
        weight: (width, cardinality * C) of the linear map.
        bias: (width,)

    Returns:
        (videos, tuples, width)
    """
    places = weight.reshape(len(weight), index.shape[1], -1).unbind(dim=1)
    parts = [(frames @ part.T)[:, index[:, place]] for place, part in enumerate(places)]
    return torch.stack(parts).sum(dim=0) + bias


class TupleAttention(nn.Module):
    """Keys and values of tuples of one size, for TRX's attention (`tuple_scores`)."""

    index: Tensor

    def __init__(self, frames: int, channels: int, cardinality: int, width: int | None) -> None:
        """Build it for tuples of ``cardinality``, or as many frames as there are if fewer."""
        super().__init__()
        cardinality = min(cardinality, frames)
        width = tuple_width(width, cardinality, channels)
        self.register_buffer("index", tuple_index(frames, cardinality), persistent=False)
        self.key = nn.Linear(cardinality * channels, width)
        self.value = nn.Linear(cardinality * channels, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(videos, T, C) -> keys and values, each (videos, tuples, width)."""
        positions = usual_table(frames.shape[1], frames.shape[2], like=frames)
        frames = self.dropout(frames + POSITION_SCALE * positions)
        keys = project_tuples(frames, self.index, self.key.weight, self.key.bias)
        values = project_tuples(frames, self.index, self.value.weight, self.value.bias)
        return self.norm(keys), values


def tuple_scores(support: tuple[Tensor, Tensor], query: tuple[Tensor, Tensor]) -> Tensor:
    """Minus mean squared distance of query tuples to what the class mixes for each of them.

    Args:
        support: keys and values, each (episodes, way, shot, tuples, width).
        query: keys and values, each (episodes, queries, tuples, width).

    Returns:
        (episodes, queries, way)
    """
    keys, values = (part.flatten(2, 3).unbind(dim=1) for part in support)
    ways = zip(keys, values, strict=True)
    return torch.stack([_class_scores(key, value, *query) for key, value in ways], dim=2)


def _class_scores(keys: Tensor, values: Tensor, query_keys: Tensor, query_values: Tensor) -> Tensor:
    """(episodes, shot * tuples, width) of a class, (episodes, queries, tuples, width) of queries.

    One class at a time keeps the attention small. Returns (episodes, queries).
    """
    logits = query_keys.flatten(1, 2) @ keys.mT / math.sqrt(keys.shape[-1])
    mixtures = (logits.softmax(dim=-1) @ values).reshape(query_values.shape)
    return -(query_values - mixtures).square().sum(dim=-1).mean(dim=-1)
