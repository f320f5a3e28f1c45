"""Ordered temporal alignment of two videos, given the distances between their frames."""

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
        distances: (..., rows, columns) between the frames of two videos; costs are (...).
        temperature: λ of the smooth minimum, min_λ(x) = -λ log Σ exp(-x / λ).
        padding: which columns of the padded matrix can be entered from above: the last one
            (``paper``; its first one holds zeros either way), the first real one and the last one
            (``perrett``, the code in common use), or all (``ta2n-rows``, which pads the rows
            instead, that is, the columns of the transposed matrix).
        relaxation: ``soft`` for the smooth minimum, ``hard`` for the exact one.

    Source: Cao et al., CVPR 2020, arXiv:1906.11415; tobyperrett/few-shot-action-recognition.
    """
    # Along the way costs are kept as w = -γ / λ: their smooth minimum is a logarithm of sums.
    either, scale = (torch.maximum, 1.0) if relaxation == "hard" else (torch.logaddexp, temperature)
    D = distances.mT if padding == "ta2n-rows" else distances
    first, *steps = (pad(D, (1, 1)) / -scale).movedim((-1, -2), (0, 1)).contiguous()
    entered_from_above = {"paper": {}, "perrett": {1}, "ta2n-rows": range(len(steps))}[padding]
    w = first  # of a whole column at once, its rows first
    for column, distance in enumerate(steps, start=1):
        # From the left or, but for the first row, along the diagonal.
        w = torch.cat([w[:1], either(w[:-1], w[1:])])
        if column in entered_from_above or column == len(steps):
            cells = [w[0] + distance[0]]
            for reached, step in zip(w[1:], distance[1:], strict=True):
                cells.append(either(cells[-1], reached) + step)
            w = torch.stack(cells)
        else:
            w = w + distance
    return -scale * w[-1]
