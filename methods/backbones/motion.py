"""A small network that sees motion: the backbone of the rendered dataset."""

import itertools

import torch
from torch import Tensor, nn

from bench.backbone import Backbone, InputSpec


class MotionNet(Backbone):
    """Three 2D convolutions on each frame and its differences to its neighbours, then two 3D ones.

    The differences let the first layer see movement; the 3D convolutions bring neighbouring
    frames together, so that a feature at one time step knows which way things went there.
    551,304 parameters.
    """

    name = "motion"
    revision = 1
    source = "this project: `fvbench train backbone`"
    pretraining = "the 64 training classes of the rendered dataset, with labels"
    input = InputSpec(frames=16, size=48, mean=(0.45, 0.45, 0.45), std=(1.0, 1.0, 1.0))
    channels = 96
    grid = (8, 6, 6)

    def __init__(self) -> None:
        """Build the network with fresh weights."""
        super().__init__()
        widths = itertools.pairwise((5, 24, 48, 96))
        self.frame = nn.Sequential(*(_frame_block(narrow, wide) for narrow, wide in widths))
        self.time = nn.Sequential(_time_block(96, 96, stride=2), _time_block(96, 96, stride=1))

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, 16, 48, 48) -> (videos, 96, 8, 6, 6)."""
        videos = len(clips)
        images = with_differences(clips).transpose(1, 2).flatten(0, 1)
        maps = self.frame(images.contiguous(memory_format=torch.channels_last))
        maps = maps.reshape(videos, -1, *maps.shape[1:]).transpose(1, 2)
        features: Tensor = self.time(maps.contiguous(memory_format=torch.channels_last_3d))
        return features.contiguous()


def with_differences(clips: Tensor) -> Tensor:
    """Add what changes: (videos, 3, frames, ...) -> (videos, 5, frames, ...).

    The two further channels are four times the change of grey level to the next frame and from
    the one before, zero at the ends.
    """
    grey = clips.mean(dim=1, keepdim=True)
    change = 4 * (grey[:, :, 1:] - grey[:, :, :-1])
    none = torch.zeros_like(grey[:, :, :1])
    after, before = torch.cat([change, none], dim=2), torch.cat([none, change], dim=2)
    return torch.cat([clips, after, before], dim=1)


def _frame_block(narrow: int, wide: int) -> nn.Sequential:
    convolution = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(wide), nn.ReLU())


def _time_block(narrow: int, wide: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv3d(narrow, wide, 3, stride=(stride, 1, 1), padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(wide), nn.ReLU())
