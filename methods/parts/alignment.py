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
    # Along the way costs are kept as w = -γ / λ: their smooth minimum is a logarithm of sums.
    either, scale = (torch.maximum, 1.0) if relaxation == "hard" else (torch.logaddexp, temperature)
    D = distances.mT if padding == "ta2n-rows" else distances
    steps = (pad(D, (1, 1)) / -scale).movedim((-2, -1), (0, 1)).contiguous()
    rows, columns = steps.shape[:2]
    entered_from_above = {
        "paper": {columns - 1},
        "perrett": {1, columns - 1},
        "ta2n-rows": set(range(1, columns)),
    }[padding]
    above: list[Tensor] = []
    for row in range(rows):
        w = [steps[row, 0]]
        for column in range(1, columns):
            before = w[column - 1]
            if row > 0:
                before = either(above[column - 1], before)
            if row > 0 and column in entered_from_above:
                before = either(above[column], before)
            w.append(steps[row, column] + before)
        above = w
    return -scale * above[-1]


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest frame of the other video, both ways.

    (..., rows, columns) -> (...)

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
