"""Features brought to the precision that a method computes in."""

from torch import Tensor

from bench.method import Method


def in_own_precision(method: Method, features: Tensor) -> Tensor:
    """Cast features to the kind of the method's parameters; as they come if it has none."""
    parameter = next(method.parameters(), None)
    return features if parameter is None else features.to(parameter.dtype)
