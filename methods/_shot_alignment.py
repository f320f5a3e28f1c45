"""TA2N with several shots: those of a class re-timed to one of them or to their mean."""

from typing import Literal

import torch
from torch import Tensor, nn

from methods._frame_attention import frame_means, frame_shares

Reference = Literal["mean", "first", "smallest"]
"""What the shots of a class are aligned to: their mean, the first one, or the one with the smallest
mean feature: one of them as well, but whatever their order."""


class ShotAlignment(nn.Module):
    """Re-time the shots of a class to a reference, and average them."""

    def __init__(self, channels: int) -> None:
        """Build it for maps of ``channels``."""
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )

    def forward(self, shots: Tensor, reference: Reference) -> Tensor:
        """(episodes, way, shot, T, H, W, C) -> (episodes, way, T, H, W, C)."""
        frames = frame_means(shots)
        goal = _goal(frames, reference)
        keys, queries = self.key(frames), self.query(goal).unsqueeze(2)
        shares = frame_shares(queries, keys) / shots.shape[2]
        aligned: Tensor = self.value(torch.einsum("enkyx,enkxhwc->enyhwc", shares, shots))
        return aligned


def _goal(frames: Tensor, kind: Reference) -> Tensor:
    """What the shots are aligned to: (episodes, way, shot, T, C) -> (episodes, way, T, C)."""
    if kind == "mean":
        return frames.mean(dim=2)
    if kind == "first":
        return frames[:, :, 0]
    precision = torch.promote_types(frames.dtype, torch.float32)
    place = frames.mean(dim=(-2, -1), dtype=precision).argmin(dim=2)
    return frames.take_along_dim(place[..., None, None, None], dim=2).squeeze(2)
