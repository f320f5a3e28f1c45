"""Tuples of frames as sums of parts: one for each place and each frame that can stand there."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from methods.parts.tuples import tuple_index


class TupleParts(NamedTuple):
    """Tuples of a video's frames, in parts."""

    keys: Tensor
    """(..., parts, width): the tuples' keys before their division by the standard deviation."""
    values: Tensor
    """(..., parts, width); the bias is left out: it cancels in differences of values."""
    scale: Tensor
    """(..., tuples): one over the standard deviation of a key, over the fourth root of its width,
    so that products of two keys are divided by its root."""
    offset: Tensor
    """(..., tuples): what a tuple's logit has from the bias of the normalisation."""
    energy: Tensor
    """(...): mean squared length of the tuples' values, in four bytes at least."""


def part_frames(frames: int, cardinality: int) -> list[range]:
    """For each place in a tuple, the frames that can stand there.

    >>> part_frames(4, 2)
    [range(0, 3), range(1, 4)]
    """
    return [range(place, frames - cardinality + 1 + place) for place in range(cardinality)]


def membership(frames: int, cardinality: int) -> Tensor:
    """Which parts a tuple is the sum of: 0 or 1, (tuples, parts).

    >>> membership(3, 2)
    tensor([[1., 0., 1., 0.],
            [1., 0., 0., 1.],
            [0., 1., 0., 1.]])
    """
    index = tuple_index(frames, cardinality)
    steps = frames - cardinality + 1
    # Place p sees frames p, p + 1, ...: part p * steps holds the first of them.
    return torch.zeros(len(index), cardinality * steps).scatter_(
        1, index + (steps - 1) * torch.arange(cardinality), 1.0
    )


def project_parts(frames: Tensor, weight: Tensor, cardinality: int) -> Tensor:
    """Apply to each frame the piece of a tuple's linear map that its place has.

    Args:
        frames: (videos, T, C).
        weight: (width, cardinality * C) of the linear map.
        cardinality: frames in a tuple.

    Returns:
        (videos, parts, width)
    """
    pieces = weight.reshape(len(weight), cardinality, -1).unbind(dim=1)
    places = part_frames(frames.shape[1], cardinality)
    return torch.cat(
        [
            linear(frames[:, place.start : place.stop], piece)
            for place, piece in zip(places, pieces, strict=True)
        ],
        dim=1,
    )
