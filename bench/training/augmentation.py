"""Changing how training clips look, and nothing that a class is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Change:
    """What happens to one clip."""

    top: int
    left: int
    """Where in the clip, padded on all sides, the new one begins."""
    colours: Sequence[int]
    """Order of the three colours."""
    contrast: float
    mirrored: bool


def drawn_changes(
    videos: int, spare: int, recolour: bool = True, flip: bool = False
) -> list[Change]:
    """Draw a change for each clip from torch's global generator.

    Args:
        videos: how many.
        spare: pixels by which a padded clip is larger than the new one.
        recolour: permute a clip's colours, scale its contrast by 0.7 to 1.3, invert every other.
        flip: mirror every other clip; only where left and right are the same class.
    """
    factors = _contrasts(videos) if recolour else [1.0] * videos
    mirrored = torch.randint(2, (videos,)).tolist() if flip else [0] * videos
    changes = []
    for factor, mirror in zip(factors, mirrored, strict=True):
        top, left = torch.randint(spare + 1, (2,)).tolist()
        colours = torch.randperm(3).tolist() if recolour else range(3)
        changes.append(Change(top, left, colours, factor, bool(mirror)))
    return changes


def augmented(clips: Tensor, changes: Sequence[Change], shift: int, size: int) -> Tensor:
    """Move, recolour and mirror clips.

    Args:
        clips: float (videos, 3, frames, height, width), normalised around zero.
        changes: one for each clip.
        shift: pixels by which borders are repeated on all sides.
        size: height and width of the new clips.

    Returns:
        (videos, 3, frames, size, size)
    """
    videos, channels, frames = clips.shape[:3]
    padded = nn.functional.pad(clips.flatten(0, 1), [shift] * 4, mode="replicate")
    padded = padded.reshape(videos, channels, frames, *padded.shape[-2:])
    # Colours one by one are views: no index has to reach a GPU, and nothing is copied twice.
    colours: list[Tensor] = []
    for clip, change in zip(padded, changes, strict=True):
        moved = clip[..., change.top : change.top + size, change.left : change.left + size]
        seen = moved.flip(-1) if change.mirrored else moved
        colours += [seen[colour] for colour in change.colours]
    contrast = torch.tensor([change.contrast for change in changes], device=clips.device)
    changed = torch.stack(colours).reshape(videos, channels, frames, size, size)
    return changed * contrast.reshape(-1, 1, 1, 1, 1)


def _contrasts(videos: int) -> list[float]:
    """Factors of 0.7 to 1.3, every other one negative by chance."""
    contrast = (0.7 + 0.6 * torch.rand(videos)) * (1 - 2 * torch.randint(2, (videos,)))
    factors: list[float] = contrast.tolist()
    return factors
