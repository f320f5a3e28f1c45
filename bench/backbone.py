"""The contract of a backbone: clips in, feature maps out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class InputSpec:
    """The input of a backbone.

    Args:
        frames: frames in a clip.
        size: height and width in pixels: the short side is resized to it, then the centre cropped.
        mean: per-channel mean of pixels scaled to [0, 1], which is subtracted.
        std: per-channel standard deviation, by which they are then divided.
    """

    frames: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Backbone(nn.Module):
    """Turns normalised clips into feature maps.

    A subclass declares the attributes below and implements `forward`. 2D networks stack their maps
    along time, transformers put their tokens back on a grid: every backbone returns a grid of
    positions in time, height and width, so that every method runs on every backbone.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    """Raised whenever a feature may change."""
    source: ClassVar[str]
    pretraining: ClassVar[str]
    """The data and labels that the shipped weights have seen."""
    input: ClassVar[InputSpec]
    channels: ClassVar[int]
    grid: ClassVar[tuple[int, int, int]]
    """Positions in time, height and width of the maps for the declared input."""

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, size, size) normalised -> (videos, channels, *grid)."""
        raise NotImplementedError


def normalised(frames: Tensor, spec: InputSpec) -> Tensor:
    """Resize, crop and normalise decoded frames.

    Args:
        frames: uint8 (videos, frames, height, width, 3), RGB, as decoders return them.
        spec: the input of the backbone.

    Returns:
        float32 (videos, 3, frames, size, size).

    The short side is resized to ``size`` by averaging areas (antialiased), the centre is cropped.
    """
    videos, count = frames.shape[:2]
    # Without a conversion to float32 first, which takes another 100 MB per frame in 4K.
    images = frames.flatten(0, 1).permute(0, 3, 1, 2) / 255
    images = _centre_square(_resized(images, spec.size), spec.size)
    images = (images - _per_channel(spec.mean)) / _per_channel(spec.std)
    return images.reshape(videos, count, *images.shape[1:]).transpose(1, 2)


def _resized(images: Tensor, size: int) -> Tensor:
    height, width = images.shape[-2:]
    if height % size == 0 and height == width:
        return nn.functional.avg_pool2d(images, height // size)
    short = min(height, width)
    shape = (round(height * size / short), round(width * size / short))
    return nn.functional.interpolate(images, shape, mode="bilinear", antialias=True)


def _centre_square(images: Tensor, size: int) -> Tensor:
    top, left = (images.shape[-2] - size) // 2, (images.shape[-1] - size) // 2
    return images[..., top : top + size, left : left + size]


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
