"""OTAM as FSL-Video runs it: cosines met along a hard alignment path that is traced back.

As in `methods.otam`, two videos are aligned in order and may leave out frames at either end. Here
the minimum is exact, and what counts is not the cost of the path but the cosines of the frames that
it matches: the path is found first, step by step back from the last cell, then the cosines along it
are added up. Once the query's frames are the rows, once the support video's.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.method import PairMethod, register
from methods.parts.frames import cosines, frame_vectors


@register
class FslVideoOTAM(PairMethod):
    """Score a query by the cosines along a hard alignment path, both ways."""

    name = "otam-fsl-video"
    source = """Zhu, Wang, Guo, Wu, BMVC 2021, arXiv:2110.12358; MCG-NJU/FSL-Video at 5c3c050,
    otam.py; after Cao et al., CVPR 2020"""
    differs = """nothing; the path is traced back over neighbours that the costs' own recursion
    forbids, as in the authors' code, so it can meet a frame twice and miss the last ones"""
    needs = "frames"
    order_aware = True

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """Frame vectors (..., A, T, C) and (..., B, T, C) -> sums of cosines, (..., A, B)."""
        # In double precision: the path hangs on comparisons between sums.
        S = cosines(query.double(), support.double())
        return (path_scores(S) + path_scores(S.mT)).to(query.dtype)


def path_scores(similarities: Tensor) -> Tensor:
    """Sum of the similarities along the traced path, (..., rows, columns) -> (...).

    The matrix of costs has a row of zeros above and below, so that columns at either end may stay
    unmatched. Of the path, the ``rows`` steps from the first one in a real row on count.
    """
    pairs = similarities.reshape(-1, *similarities.shape[-2:])
    rows, columns = pairs.shape[1:]
    row, column = traced_path(cumulative_costs(1 - pairs))
    step = torch.arange(len(row), device=row.device).unsqueeze(1)
    # The path is listed from its end: the first step in real row 1 is the last one in the list.
    first = step.where(row == 1, -1).amax(dim=0)
    counted = (step <= first) & (step > first - rows)
    cell = (row - 1).clamp(0, rows - 1) * columns + column
    met = pairs.flatten(1).gather(1, cell.T)
    return met.where(counted.T, 0.0).sum(dim=1).reshape(similarities.shape[:-2])


def cumulative_costs(D: Tensor) -> Tensor:
    """Least cost of reaching each cell, (pairs, rows, columns) -> (pairs, rows + 2, columns).

    It is reached from the row above, straight or diagonally; in the padded rows also along the row.
    """
    costs = [torch.zeros_like(D[:, 0])]
    for distances in D.unbind(dim=1):
        diagonal = pad(costs[-1][:, :-1], (1, 0), value=torch.inf)
        costs.append(distances + torch.minimum(costs[-1], diagonal))
    costs.append(costs[-1].cummin(dim=1).values)
    return torch.stack(costs, dim=1)


def traced_path(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Go back from the last cell to the first, each time to the cheapest of three neighbours.

    Returns the rows and the columns of the cells of costs (pairs, rows, columns), the last one
    first, each int64 (steps, pairs). A path that has reached the first cell stays there.
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
