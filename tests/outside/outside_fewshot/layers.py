"""What the method is made of."""

import torch
from torch import Tensor, nn

POWER = 1.0


class Scale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, channels: int) -> None:
        """Begin with ones."""
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., channels) -> the same."""
        return vectors * self.factor.abs() ** POWER
