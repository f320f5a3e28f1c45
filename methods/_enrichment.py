"""STRM's two enrichments: patches of a frame related to each other, then frames of a video."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, linear

from methods._products import inner_products
from methods.parts.positions import usual_table
from methods.parts.tuples import POSITION_SCALE

PATCHES = 4
"""Rows and columns of patches that a frame is pooled to."""


def _two_layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


def _with_positions(tokens: Tensor) -> Tensor:
    """(..., tokens, C) -> the same with a tenth of the positional table added."""
    return tokens + POSITION_SCALE * usual_table(tokens.shape[-2], tokens.shape[-1], like=tokens)


class PatchEnrichment(nn.Module):
    """Let the patches of a frame attend to each other, then a small network at each patch."""

    def __init__(self, channels: int) -> None:
        """Build it; the gate of the attention starts closed."""
        super().__init__()
        half = max(1, channels // 2)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.gate = nn.Parameter(torch.zeros(1))
        self.network = nn.Sequential(
            *(nn.Linear(channels, half), nn.ReLU(), nn.Linear(half, half), nn.ReLU()),
            nn.Linear(half, channels),
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors, (videos, T, C)."""
        patches = self.dropout(_with_positions(_pooled(maps)))
        # The authors do not divide by the root of the channels.
        shares = self._logits(patches).softmax(dim=-1)
        patches = patches + self.gate * (shares @ self.value(patches))
        # The mean over patches goes before the last linear map, which then sees one a frame.
        *hidden, last = self.network
        inner = nn.Sequential(*hidden)(patches).mean(dim=1)
        enriched: Tensor = patches.mean(dim=1) + last(inner)
        return enriched.reshape(len(maps), maps.shape[2], -1)

    def _logits(self, patches: Tensor) -> Tensor:
        """Products of queries and keys, but for what is the same for all keys: (n, P, P).

        Where there are more patches than channels both maps are made one, which is less work:
        (W p + b) . (V q + d) is (V'W p + V'b) . q, and what depends on p alone.
        """
        query, key = self.query, self.key
        if patches[..., 0].numel() <= patches.shape[-1]:
            return inner_products(query(patches), key(patches))
        joined = linear(patches, key.weight.mT @ query.weight, key.weight.mT @ query.bias)
        return inner_products(joined, patches)


def _pooled(maps: Tensor) -> Tensor:
    """Largest values in patches of each frame: (videos, C, T, H, W) -> (videos * T, P, C).

    Channels go last first, where the pooling takes a fraction of the time on a CPU.
    """
    frames = maps.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(0, 3, 1, 2)
    return adaptive_max_pool2d(frames, PATCHES).flatten(2).transpose(1, 2)


class FrameEnrichment(nn.Module):
    """Mix the frames of a video channel by channel, then the channels frame by frame."""

    def __init__(self, frames: int, channels: int) -> None:
        """Build both networks."""
        super().__init__()
        self.mix_frames = _two_layers(frames)
        self.mix_channels = _two_layers(channels)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Tensor) -> Tensor:
        """(videos, T, C) -> (videos, T, C)."""
        frames = self.dropout(_with_positions(frames))
        frames = frames + self.mix_frames(frames.mT).mT
        enriched: Tensor = frames + self.mix_channels(frames)
        return enriched
