"""Distances between two videos, given the distances between their frames."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

Padding = Literal["perrett", "paper", "ta2n-rows"]
Relaxation = Literal["soft", "hard"]


def alignment_costs(
    distances: Tensor,
    temperature: float = 0.1,
    padding: Padding = "perrett",
    relaxation: Relaxation = "soft",
) -> Tensor:
    """Cost of the cheapest ordered alignment of two videos, whose ends may stay unmatched.

    The matrix D of distances gets a column of zeros on either side, so that leaving out the first
    or the last rows costs nothing. A path goes from the first cell to the last; the cost of a cell
    is its distance plus the least cost of the cells from which it can be reached:

        γ(l, m) = D(l, m) + min_λ {γ(l-1, m-1), γ(l, m-1)}

    and, in some columns, also from γ(l-1, m), straight from above.

    Args:
        distances: (..., rows, columns) between the frames of two videos.
        temperature: λ of the smooth minimum, min_λ(x) = -λ log Σ exp(-x / λ).
        padding: which columns of the padded matrix can be entered from above: the last one
            (``paper``; its first one holds zeros either way), the first real one and the last one
            (``perrett``, the code in common use), or all (``ta2n-rows``, which pads the rows
            instead, that is, the columns of the transposed matrix).
        relaxation: ``soft`` for the smooth minimum, ``hard`` for the exact one.

    Returns:
        (...)

    Source: Cao et al., CVPR 2020, arXiv:1906.11415; tobyperrett/few-shot-action-recognition.
    """

    def least(costs: list[Tensor]) -> Tensor:
        stacked = torch.stack(costs)
        if relaxation == "hard":
            return stacked.amin(dim=0)
        return -temperature * torch.logsumexp(stacked / -temperature, dim=0)

    D = pad(distances.mT if padding == "ta2n-rows" else distances, (1, 1)).movedim((-2, -1), (0, 1))
    rows, columns = D.shape[:2]
    entered_from_above = {
        "paper": {columns - 1},
        "perrett": {1, columns - 1},
        "ta2n-rows": set(range(1, columns)),
    }[padding]
    above: list[Tensor] = []
    for row in range(rows):
        costs = [D[row, 0]]
        for column in range(1, columns):
            reached_from = [costs[column - 1]]
            if row > 0:
                reached_from.append(above[column - 1])
            if row > 0 and column in entered_from_above:
                reached_from.append(above[column])
            costs.append(D[row, column] + least(reached_from))
        above = costs
    return above[-1]


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest frame of the other video, both ways.

    (..., rows, columns) -> (...)

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
