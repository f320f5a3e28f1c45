"""Distances between two sequences of frames: ordered temporal alignment and Hausdorff."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

Padding = Literal["perrett", "paper", "ta2n-rows"]
Relaxation = Literal["soft", "hard"]

UNREACHABLE = -1e9
"""Log weight of a cell that no path reaches: finite, so that no gradient is undefined."""


def alignment_costs(
    distances: Tensor,
    temperature: float = 0.1,
    padding: Padding = "perrett",
    relaxation: Relaxation = "soft",
    largest: float = math.inf,
) -> Tensor:
    """Cost of the best ordered alignment of two videos, whose ends may be left out for nothing.

    Args:
        distances: (..., rows, columns), between the frames of two videos.
        temperature: of the smooth minimum, lambda.
        padding: where a path may also go straight down: in the first real and the last padded
            column (``perrett``, the code in common use), in the last padded column only
            (``paper``: the first padded one holds zeros either way), everywhere (``ta2n-rows``).
            ``ta2n-rows`` pads the rows, that is, the columns of the transposed distances.
        relaxation: ``soft`` or the exact minimum, ``hard``.
        largest: distance there can be. Where no path's weight exp(-cost / lambda) can leave the
            range of float64, weights are added up as they are: no logarithm in every cell.

    Returns:
        (...)

    Source: Cao et al., CVPR 2020, arXiv:1906.11415, as in tobyperrett/few-shot-action-recognition.
        The recursion runs over anti-diagonals, on log weights -cost / lambda, all pairs at once.
    """
    if distances.dtype.itemsize < 4:
        # Two bytes are too few for the sums of log weights.
        costs = alignment_costs(distances.float(), temperature, padding, relaxation, largest)
        return costs.to(distances.dtype)
    if padding == "ta2n-rows":
        distances = distances.mT
    pairs = distances.reshape(-1, *distances.shape[-2:]).permute(1, 2, 0)
    if relaxation == "hard":
        costs = -_path_weights(-pairs, padding, HARD)
    elif sum(pairs.shape[:2]) * largest / temperature < LARGEST_EXPONENT:
        weights = _path_weights((pairs.double() / -temperature).exp(), padding, PLAIN)
        costs = (weights.log() * -temperature).to(distances.dtype)
    else:
        costs = _path_weights(pairs / -temperature, padding, LOGARITHMIC) * -temperature
    return costs.reshape(distances.shape[:-2])


class Semiring(NamedTuple):
    """How weights of steps make the weight of a path, and weights of paths that of a cell."""

    join: Callable[[Tensor, Tensor], Tensor]
    extend: Callable[[Tensor, Tensor], Tensor]
    unreachable: float
    nothing: float
    """Weight of a step that costs nothing."""


HARD = Semiring(torch.maximum, torch.add, UNREACHABLE, 0.0)
LOGARITHMIC = Semiring(torch.logaddexp, torch.add, UNREACHABLE, 0.0)
PLAIN = Semiring(torch.add, torch.mul, 0.0, 1.0)
LARGEST_EXPONENT = 600.0
"""exp(-600) is far inside the range of float64, which ends at exp(-708)."""


def _path_weights(steps: Tensor, padding: Padding, ring: Semiring) -> Tensor:
    """(rows, columns, pairs) weights of single cells -> weight of the last cell, (pairs,)."""
    rows, columns, _ = steps.shape
    columns += 2
    skewed = _skew(pad(steps, (0, 0, 1, 1), value=ring.nothing), ring.unreachable)
    row = torch.arange(rows, device=steps.device).unsqueeze(1)
    before = torch.full_like(skewed[:, 0], ring.unreachable)
    current = skewed[:, 0]
    for diagonal in range(1, rows + columns - 1):
        column = diagonal - row
        falls = _falls(column, columns, padding)
        above = _down(current, ring.unreachable).where(falls, ring.unreachable)
        best = ring.join(ring.join(_down(before, ring.unreachable), current), above)
        # The first padded column costs nothing: a path may start at any row.
        best = best.where(column > 0, ring.nothing)
        before, current = current, ring.extend(best, skewed[:, diagonal])
    return current[-1]


def _falls(column: Tensor, columns: int, padding: Padding) -> Tensor:
    """Whether a path may enter a cell of ``column`` (of the padded matrix) from above."""
    if padding == "ta2n-rows":
        return column >= 0
    last = column == columns - 1
    return last if padding == "paper" else last | (column == 1)


def _skew(matrix: Tensor, outside: float) -> Tensor:
    """(rows, columns, pairs) -> (rows, rows + columns - 1, pairs): row r moved r to the right."""
    rows, columns, pairs = matrix.shape
    wide = pad(matrix, (0, 0, 0, rows), value=outside).flatten(0, 1)
    return wide[: rows * (rows + columns - 1)].reshape(rows, rows + columns - 1, pairs)


def _down(cells: Tensor, outside: float) -> Tensor:
    """(rows, pairs): what stands one row higher."""
    return pad(cells[:-1], (0, 0, 1, 0), value=outside)


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest frame of the other video, both ways.

    (..., rows, columns) -> (...)

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
