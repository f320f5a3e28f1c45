"""A convolution over time and space with what follows it: batch norm, max-pooling, ReLU."""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import max_pool3d, relu


class PooledConvolution(nn.Module):
    """3 x 3 x 3 convolution, batch norm, max-pooling, ReLU."""

    def __init__(self, channels: int, width: int, pool: tuple[int, int, int]) -> None:
        """Build it; the pooling never exceeds the map."""
        super().__init__()
        self.conv = nn.Conv3d(channels, width, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, T, H, W) -> (n, width, less, less, less)."""
        return self.after(self.norm(self.conv(maps)))

    def after(self, normed: Tensor) -> Tensor:
        """Do what follows the batch norm."""
        kernel = [min(pair) for pair in zip(self.pool, normed.shape[2:], strict=True)]
        return relu(max_pool3d(normed, kernel))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (width, channels, 3, 3, 3) and bias (width,) of the convolution.

        In evaluation, where the batch norm is one factor and one addend for each channel, of a
        convolution that does its work as well; in training, before the batch norm.
        """
        weight, bias = self.conv.weight, cast(Tensor, self.conv.bias)
        if self.training:
            return weight, bias
        mean, variance = cast(Tensor, self.norm.running_mean), cast(Tensor, self.norm.running_var)
        factor = self.norm.weight / (variance + self.norm.eps).sqrt()
        return weight * factor[:, None, None, None, None], (bias - mean) * factor + self.norm.bias
