"""Products of matrices, in the form that a processor takes fastest."""

from torch import Tensor
from torch.nn.functional import linear


def inner_products(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of all rows of both: (batch, M, C) and (batch, N, C) -> (batch, M, N).

    A lone pair of matrices is multiplied as one: batches of bfloat16 matrices would have the second
    one copied into another order first.
    """
    if len(left) == 1:
        return linear(left[0], right[0]).unsqueeze(0)
    return left @ right.mT
