"""The precision that methods compute in, and what needs more of it."""

import torch
from torch import Tensor

from bench.method import Method


def in_own_precision(method: Method, features: Tensor) -> Tensor:
    """Cast features to the kind of the method's parameters; as they come if it has none."""
    parameter = next(method.parameters(), None)
    return features if parameter is None else features.to(parameter.dtype)


def wide(values: Tensor) -> Tensor:
    """Give values at least four bytes: sums of squares need them."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
