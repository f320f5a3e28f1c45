"""Where to look in a frame: TA2N's masks, moved by an offset from the centre."""

import torch
from torch import Tensor
from torch.nn.functional import relu

PERTURBATION = 0.2
"""Step between the places around an offset whose masks are averaged, 3 in each direction."""


def offset_masks(offsets: Tensor, height: int, width: int) -> Tensor:
    """Masks at offsets (x, y) from the centre: (..., 2) -> (..., height, width), sum 1 each.

    The mean of the masks of the 9 offsets around each; as a mask is a product of one over the
    rows and one over the columns, so is the mean.
    """
    columns, rows = _profile(offsets[..., 0], width), _profile(offsets[..., 1], height)
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)


def _profile(offset: Tensor, size: int) -> Tensor:
    """Share of each of ``size`` positions in [-1, 1], seen from ``-offset``: (...) -> (..., size).

    1 within the map moved by the offset, falling to 0 within one position outside it.
    """
    step = PERTURBATION * torch.tensor([-1.0, 0.0, 1.0]).to(offset)
    position = torch.linspace(-1, 1, size).to(offset)
    moved = position + (offset.unsqueeze(-1) + step).unsqueeze(-1)
    share = relu(1 - (size - 1) / 2 * relu(moved.abs() - 1))
    return (share / share.sum(dim=-1, keepdim=True)).mean(dim=-2)
