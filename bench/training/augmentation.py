"""Changing how training clips look, and nothing that a class is made of."""

import torch
from torch import Tensor, nn


def augmented(clips: Tensor, shift: int, recolour: bool = True, flip: bool = False) -> Tensor:
    """Move, recolour and mirror clips; the draws come from torch's global generator.

    Args:
        clips: float (videos, 3, frames, size, size), normalised around zero.
        shift: each clip is moved by up to so many pixels.
        recolour: permute a clip's colours, scale its contrast by 0.7 to 1.3, invert every other.
        flip: mirror every other clip; only where left and right are the same class.
    """
    videos, _, _, size, _ = clips.shape
    padded = nn.functional.pad(clips.flatten(0, 1), [shift] * 4, mode="replicate")
    padded = padded.reshape(videos, *clips.shape[1:3], *padded.shape[-2:])
    factors = _contrasts(videos) if recolour else None
    mirrored = torch.randint(2, (videos,)).tolist() if flip else [0] * videos
    colours: list[Tensor] = []
    for clip, mirror in zip(padded, mirrored, strict=True):
        top, left = torch.randint(2 * shift + 1, (2,)).tolist()
        # Colours one by one are views: no index has to reach a GPU, and nothing is copied twice.
        moved = [colour[:, top : top + size, left : left + size] for colour in clip]
        order = torch.randperm(3).tolist() if recolour else range(3)
        colours += [moved[place].flip(-1) if mirror else moved[place] for place in order]
    changed = torch.stack(colours).reshape(clips.shape)
    return changed if factors is None else changed * factors.to(clips.device)


def _contrasts(videos: int) -> Tensor:
    """Factors of 0.7 to 1.3, every other one negative by chance: (videos, 1, 1, 1, 1)."""
    contrast = (0.7 + 0.6 * torch.rand(videos)) * (1 - 2 * torch.randint(2, (videos,)))
    return contrast.reshape(videos, 1, 1, 1, 1)
