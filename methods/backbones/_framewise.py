"""Networks for images on videos: every frame by itself, its maps stacked along time."""

from collections.abc import Callable

import torch
from torch import Tensor

IMAGES_AT_ONCE = {"cpu": 4, "cuda": 32}
"""As many as a CPU's caches hold at 224 pixels, and as make a GPU's operations large. Changes no
map, since no image sees another one."""


def framewise(network: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    """Apply a network for images to every frame.

    Args:
        network: (images, 3, height, width) -> (images, C, H, W), in evaluation mode or without
            batch statistics.
        clips: (videos, 3, frames, height, width).

    Returns:
        (videos, C, frames, H, W).
    """
    videos = len(clips)
    images = clips.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    maps = torch.cat([network(part) for part in images.split(IMAGES_AT_ONCE[clips.device.type])])
    return maps.reshape(videos, -1, *maps.shape[1:]).transpose(1, 2).contiguous()
