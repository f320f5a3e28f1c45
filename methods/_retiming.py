"""TA2N's first stage: each video along a straight line of time of its own."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from methods._pooled_convolution import PooledConvolution


class Retiming(nn.Module):
    """First stage: one straight line of time for every video, and the video along it."""

    def __init__(self, channels: int) -> None:
        """Build it; it starts near the video's own time (a = tanh 2, b = 0)."""
        super().__init__()
        self.blocks = nn.Sequential(
            PooledConvolution(channels, 64, (2, 2, 2)), PooledConvolution(64, 128, (2, 2, 2))
        )
        self.line = nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())
        last = cast(nn.Linear, self.line[2])
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([2.0, 0.0]))

    def theta(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> slope and start of each video's time, (videos, 2)."""
        line: Tensor = self.line(self.blocks(maps).amax(dim=(2, 3, 4)))
        return line

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> maps along the new time; zero outside the video."""
        frames = maps.shape[2]
        time = torch.linspace(-1, 1, frames, dtype=maps.dtype, device=maps.device)
        slope, start = self.theta(maps).unsqueeze(-1).unbind(dim=1)
        place = (slope * time + start + 1) / 2 * (frames - 1)
        frame = torch.arange(frames, dtype=maps.dtype, device=maps.device)
        # Linear interpolation between the two frames around a place, as one matrix a video.
        weights = relu(1 - (place.unsqueeze(-1) - frame).abs())
        return torch.einsum("vts,vcshw->vcthw", weights, maps)
