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


def path_scores(similarities: Tensor) -> Tensor:
    """Sum of the similarities that the alignment of Zhu et al. meets on its way, in (-rows, rows).

    Args:
        similarities: (..., rows, columns), between the frames of two videos, in double precision:
            the path hangs on comparisons.

    Returns:
        (...)

    Source: MCG-NJU/FSL-Video, otam.py. Rows are padded above and below; costs are least sums over
        predecessors one row higher, the path is traced back over all three neighbours. Of the
        path, the ``rows`` steps from the first one in a real row on count.
    """
    pairs = similarities.reshape(-1, *similarities.shape[-2:])
    rows = pairs.shape[1]
    row, column = _traced_path(_cumulative_costs(1 - pairs))
    step = torch.arange(len(row), device=row.device).unsqueeze(1)
    # The path is listed from its end, so the first step in real row 1 is the last in the list.
    first = step.where(row == 1, -1).amax(dim=0)
    counted = (step <= first) & (step > first - rows)
    flat = (row - 1).clamp(0, rows - 1) * pairs.shape[2] + column
    met = pairs.flatten(1).gather(1, flat.T)
    return met.where(counted.T, 0.0).sum(dim=1).reshape(similarities.shape[:-2])


def _cumulative_costs(distances: Tensor) -> Tensor:
    """(pairs, rows, columns) -> (pairs, rows + 2, columns): least cost of reaching each cell."""
    costs = [torch.zeros_like(distances[:, 0])]
    for row in distances.unbind(dim=1):
        diagonal = pad(costs[-1][:, :-1], (1, 0), value=torch.inf)
        costs.append(row + torch.minimum(costs[-1], diagonal))
    costs.append(costs[-1].cummin(dim=1).values)
    return torch.stack(costs, dim=1)


def _traced_path(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Cells from the last to the first, each the cheapest neighbour of the one before.

    (pairs, rows, columns) -> rows and columns of the cells, each int64 (steps, pairs). A path that
    has reached the first cell stays there.
    """
    pairs, rows, columns = costs.shape
    walled = pad(costs, (1, 0, 1, 0), value=torch.inf).flatten(1)
    row = torch.full((pairs,), rows - 1, device=costs.device)
    column = torch.full_like(row, columns - 1)
    path = [(row, column)]
    for _ in range(rows + columns - 2):
        corner = row * (columns + 1) + column
        # Ties go to the diagonal, then to the row above, then to the column before.
        neighbours = torch.stack([corner, corner + 1, corner + columns + 1], dim=1)
        choice = walled.gather(1, neighbours).argmin(dim=1)
        moving = row + column > 0
        row = row - (moving & (choice < 2)).long()
        column = column - (moving & (choice != 1)).long()
        path.append((row, column))
    listed_rows, listed_columns = zip(*path, strict=True)
    return torch.stack(listed_rows), torch.stack(listed_columns)


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest frame of the other video, both ways.

    (..., rows, columns) -> (...)

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
