"""Distances between two sequences of frames: ordered temporal alignment and Hausdorff."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Padding = Literal["perrett", "paper", "ta2n-rows"]
Relaxation = Literal["soft", "hard"]


def alignment_costs(
    distances: Tensor,
    temperature: float = 0.1,
    padding: Padding = "perrett",
    relaxation: Relaxation = "soft",
    largest: float = math.inf,
    both_ways: bool = False,
) -> Tensor:
    """Cost of the best ordered alignment of two videos, whose ends may be left out for nothing.

    Args:
        distances: (..., rows, columns), between the frames of two videos, both of as many if they
            are aligned both ways.
        temperature: of the smooth minimum, lambda.
        padding: where a path may also go straight down: in the first real and the last padded
            column (``perrett``, the code in common use), in the last padded column only
            (``paper``: the first padded one holds zeros either way), everywhere (``ta2n-rows``).
            ``ta2n-rows`` pads the rows, that is, the columns of the transposed distances.
        relaxation: ``soft`` or the exact minimum, ``hard``.
        largest: distance there can be. Where no cell's weight exp(-distance / lambda) can leave the
            range of float32 and no path's that of float64, weights are added up as they are: no
            logarithm in every cell.
        both_ways: also align with rows and columns exchanged.

    Returns:
        (...), or (2, ...) both ways.

    Source: Cao et al., CVPR 2020, arXiv:1906.11415, as in tobyperrett/few-shot-action-recognition.
        The recursion runs on weights exp(-cost / lambda) or their logarithms, all pairs at once.
    """
    if distances.dtype.itemsize < 4:
        # Two bytes are too few for the sums of log weights.
        costs = alignment_costs(
            distances.float(), temperature, padding, relaxation, largest, both_ways
        )
        return costs.to(distances.dtype)
    if padding == "ta2n-rows":
        distances = distances.mT
    cells = distances.movedim((-2, -1), (0, 1))
    pairs = cells.reshape(*cells.shape[:2], -1)
    if relaxation == "hard":
        costs = -_path_weights(_directions(-pairs, both_ways), padding, HARD)
    elif (
        largest / temperature < LARGEST_STEP
        and sum(pairs.shape[:2]) * largest / temperature < LARGEST_EXPONENT
    ):
        steps = _directions((pairs / -temperature).exp_().double(), both_ways)
        costs = (_path_weights(steps, padding, PLAIN).log() * -temperature).to(distances.dtype)
    else:
        steps = _directions(pairs / -temperature, both_ways)
        costs = _path_weights(steps, padding, LOGARITHMIC) * -temperature
    lead = distances.shape[:-2]
    return costs.reshape((2, *lead) if both_ways else lead)


def _directions(steps: Tensor, both_ways: bool) -> Tensor:
    """Put the same steps beside them with rows and columns exchanged, (rows, columns, pairs)."""
    if not both_ways:
        return steps
    return torch.stack([steps, steps.transpose(0, 1)], dim=2).flatten(2)


class Semiring(NamedTuple):
    """How weights of steps make the weight of a path, and weights of paths that of a cell."""

    join: Callable[[Tensor, Tensor], Tensor]
    extend: Callable[[Tensor, Tensor], Tensor]
    nothing: float
    """Weight of a step that costs nothing."""


HARD = Semiring(torch.maximum, torch.add, 0.0)
LOGARITHMIC = Semiring(torch.logaddexp, torch.add, 0.0)
PLAIN = Semiring(torch.add, torch.mul, 1.0)
LARGEST_STEP = 80.0
"""exp(-80) is inside the range of float32 at full precision, which ends at exp(-87)."""
LARGEST_EXPONENT = 600.0
"""exp(-600) is far inside the range of float64, which ends at exp(-708)."""


def _path_weights(steps: Tensor, padding: Padding, ring: Semiring) -> Tensor:
    """(rows, columns, pairs) weights of single cells -> weight of the last cell, (pairs,).

    Cell by cell, each for all pairs at once: a matrix of small cells has little to do in parallel.
    """
    rows, columns, _ = steps.shape
    weights = iter(steps.flatten(0, 1).unbind())
    # The first padded column costs nothing: a path may start at any row.
    start = torch.full_like(steps[0, 0], ring.nothing)
    above: list[Tensor] = []
    for row in range(rows):
        cells = [start]
        for column in range(1, columns + 2):
            best = cells[-1]
            if row:
                best = ring.join(above[column - 1], best)
            if row and _falls(column, columns, padding):
                best = ring.join(best, above[column])
            cells.append(ring.extend(best, next(weights)) if column <= columns else best)
        above = cells
    return above[-1]


def _falls(column: int, columns: int, padding: Padding) -> bool:
    """Whether a path may enter a cell of ``column`` (of the padded matrix) from above."""
    if padding == "ta2n-rows" or column == columns + 1:
        return True
    return padding == "perrett" and column == 1


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest frame of the other video, both ways.

    (..., rows, columns) -> (...)

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
