"""Scores along the hard alignment path of two videos, traced back as Zhu et al. do."""

import torch
from torch import Tensor
from torch.nn.functional import pad


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
