"""Ordered tuples of frames, and linear maps of their concatenated vectors."""

import itertools

import torch
from torch import Tensor

AUTHORS_WIDTH = 1152
"""Numbers that a tuple is mapped to in TRX, STRM and Chamfer++."""


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


def project_tuples(
    frames: Tensor, index: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Apply a linear map to the concatenated frames of each tuple: (videos, tuples, width).

    The map of a concatenation is the sum of maps of its parts, so each of the frames (videos, T, C)
    is multiplied once for each place in a tuple, not once for each tuple. ``index`` is that of
    `tuple_index`, ``weight`` (width, cardinality * C).
    """
    places = weight.reshape(len(weight), index.shape[1], -1).unbind(dim=1)
    parts = [(frames @ part.T)[:, index[:, place]] for place, part in enumerate(places)]
    projected = torch.stack(parts).sum(dim=0)
    return projected if bias is None else projected + bias
