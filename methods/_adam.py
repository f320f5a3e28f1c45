"""Adam on parameters that belong to episodes, all episodes at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

DECAY = (0.9, 0.999)
EPSILON = 1e-8


def adam(
    loss: Callable[..., Tensor], start: Sequence[Tensor], learning_rate: float, steps: int
) -> list[Tensor]:
    """Minimise ``loss`` from ``start``.

    Args:
        loss: of tensors shaped as those of ``start`` -> (episodes,). An episode's loss may only
            depend on its own parameters: the gradient is that of the sum.
        start: each (episodes, ...).
        learning_rate: size of a step.
        steps: how many.

    Returns:
        The parameters after the last step, without gradients.

    Source: Kingma and Ba, ICLR 2015, arXiv:1412.6980, algorithm 1, with its usual constants.
    """
    values = [tensor.detach().clone().requires_grad_() for tensor in start]
    first = [torch.zeros_like(value) for value in values]
    second = [torch.zeros_like(value) for value in values]
    for step in range(1, steps + 1):
        gradients = torch.autograd.grad(loss(*values).sum(), values)
        for value, gradient, mean, square in zip(values, gradients, first, second, strict=True):
            mean.lerp_(gradient, 1 - DECAY[0])
            square.lerp_(gradient.square(), 1 - DECAY[1])
            spread = (square / (1 - DECAY[1] ** step)).sqrt() + EPSILON
            with torch.no_grad():
                value.addcdiv_(mean, spread, value=-learning_rate / (1 - DECAY[0] ** step))
    return [value.detach() for value in values]
