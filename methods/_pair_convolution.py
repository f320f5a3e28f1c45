"""Convolutions over pairs of videos, taken apart into what belongs to a video and what to a pair.

There are many more pairs than videos. Maps are (..., T, H, W, C) here, and kernels
(width, C, 3, 3, 3), with padding 1 on all sides.
"""

from functools import reduce
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv3d, pad


class Stretch(NamedTuple):
    """Part of a side whose positions see the same taps of a kernel."""

    positions: slice
    taps: slice


def convolve(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., T, H, W, C) -> (..., T, H, W, width)."""
    videos = maps.reshape(-1, *maps.shape[-4:]).movedim(-1, 1)
    convolved = conv3d(videos, weight, bias, padding=1).movedim(1, -1)
    return convolved.reshape(*maps.shape[:-1], -1)


def constant_parts(weight: Tensor, frames: Tensor, height: int, width: int) -> Tensor:
    """Convolve frames that hold one vector everywhere, up to the sum over time.

    Only the border tells the places of such a map apart: there are 9 stretches, or fewer.

    Args:
        weight: the kernel.
        frames: (episodes, queries, Ts, C)
        height: of the maps.
        width: of the maps.

    Returns:
        (episodes, queries, Ts * 3, stretches * width), frame by frame of ``frames`` for each of
        the three taps in time, for `mix_constants`.
    """
    stretches = [
        weight[..., rows.taps, columns.taps] for rows, columns in _stretches(height, width)
    ]
    kernels = torch.stack([taps.sum(dim=(-2, -1)) for taps in stretches])
    # (stretches, width, C, 3) -> (C, 3 * stretches * width)
    parts = frames @ kernels.permute(2, 3, 0, 1).flatten(1)
    return parts.reshape(*frames.shape[:2], frames.shape[2] * 3, -1)


def mix_constants(shares: Tensor, parts: Tensor, channels: int) -> Tensor:
    """Convolve frames that are mixtures of those behind `constant_parts`.

    Args:
        shares: (episodes, queries, classes, T, Ts), of the frames in the mixtures.
        parts: (episodes, queries, Ts * 3, stretches * channels)
        channels: of the result.

    Returns:
        (episodes, queries, classes, T, stretches, channels), for `add_constants`.
    """
    # What the taps before, at and after a frame see: (episodes, queries, classes, T, Ts, 3).
    seen = pad(shares, (0, 0, 1, 1)).unfold(-2, 3, 1).flatten(-2)
    mixed = seen.flatten(2, 3) @ parts
    return mixed.reshape(*shares.shape[:4], -1, channels)


def add_constants(maps: Tensor, constants: Tensor) -> None:
    """Add (..., stretches, C) to maps (..., H, W, C), in place."""
    for place, (rows, columns) in enumerate(_stretches(*maps.shape[-3:-1])):
        maps[..., rows.positions, columns.positions, :] += constants[..., place, None, None, :]


def halve(maps: Tensor) -> Tensor:
    """Largest of two by two positions, as far as there are two: (..., H, W, C)."""
    for dim in (-3, -2):
        if maps.shape[dim] > 1:
            maps = torch.maximum(*maps.unfold(dim, 2, 2).unbind(-1))
    return maps


def largest_response(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve, and keep the largest response in each frame for each channel.

    (T, n, H, W, C) -> (T, n, width). Position by position, as matrix products: of so small maps
    most of a kernel lies outside. An odd row or column at the end is not looked at, as `halve`
    would leave it out.
    """
    taps = weight.permute(2, 3, 4, 1, 0).contiguous()
    rows, columns = (size - size % 2 if size > 1 else 1 for size in maps.shape[2:4])
    places = product(range(rows), range(columns))
    return reduce(torch.maximum, (_response(maps, taps, *place) for place in places)) + bias


def _response(maps: Tensor, taps: Tensor, row: int, column: int) -> Tensor:
    """At one position of the maps: taps (3, 3, 3, C, width) -> (T, n, width)."""
    rows, row_taps = _seen(row, maps.shape[2])
    columns, column_taps = _seen(column, maps.shape[3])
    seen = maps[:, :, rows, columns].flatten(2)
    before, at, after = taps[:, row_taps, column_taps].flatten(1, 3)
    response: Tensor = seen @ at
    response[1:].flatten(0, 1).addmm_(seen[:-1].flatten(0, 1), before)
    response[:-1].flatten(0, 1).addmm_(seen[1:].flatten(0, 1), after)
    return response


def _seen(place: int, size: int) -> tuple[slice, slice]:
    """Which positions along a side a kernel at ``place`` sees, and with which of its taps."""
    first, last = max(0, place - 1), min(size - 1, place + 1)
    return slice(first, last + 1), slice(first - place + 1, last - place + 2)


def _stretches(height: int, width: int) -> list[tuple[Stretch, Stretch]]:
    """Divide a map into rectangles whose positions see the same taps of a kernel."""
    return list(product(_along(height), _along(width)))


def _along(size: int) -> list[Stretch]:
    if size == 1:
        return [Stretch(slice(0, 1), slice(1, 2))]
    inner = [Stretch(slice(1, size - 1), slice(0, 3))] if size > 2 else []
    first, last = slice(0, 1), slice(size - 1, size)
    return [Stretch(first, slice(1, 3)), *inner, Stretch(last, slice(0, 2))]
