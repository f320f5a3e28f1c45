"""Networks for images on videos: every frame by itself, its maps stacked along time."""

from collections.abc import Callable

import torch
from torch import Tensor

ON_A_CPU, ELSEWHERE = 4, 32
"""Images at once: as many as a CPU's caches hold at 224 pixels, and as make a GPU's operations
large."""


def framewise(network: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    """Apply a network for images to every frame.

    Args:
        network: (images, 3, height, width) -> (images, C, H, W).
        clips: (videos, 3, frames, height, width).

    Returns:
        (videos, C, frames, H, W).
    """
    videos = len(clips)
    images = clips.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    # All of them where something learns: batch norm may look at all, and all is kept anyway.
    several = ON_A_CPU if clips.device.type == "cpu" else ELSEWHERE
    at_once = len(images) if torch.is_grad_enabled() else several
    maps = torch.cat([network(part) for part in images.split(at_once)])
    return maps.reshape(videos, -1, *maps.shape[1:]).transpose(1, 2).contiguous()
