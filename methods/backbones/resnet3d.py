"""3D ResNets: MASTAF's backbone, under the parameter names of the published checkpoints."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from bench.pretrained import CroppedInput, FromFile

WIDTHS = (64, 128, 256, 512)
HEADS = {
    700: ("Kinetics-700", ("kinetics-700",)),
    339: ("Moments in Time", ("moments-in-time",)),
    1039: ("Kinetics-700 and Moments in Time", ("kinetics-700", "moments-in-time")),
    100: ("STAIR Actions", ("stair-actions",)),
    800: ("Kinetics-700 and STAIR Actions", ("kinetics-700", "stair-actions")),
    439: ("Moments in Time and STAIR Actions", ("moments-in-time", "stair-actions")),
    1139: (
        "Kinetics-700, Moments in Time and STAIR Actions",
        ("kinetics-700", "moments-in-time", "stair-actions"),
    ),
}
"""Data that weights have seen, by the number of classes of their classifier, as published."""


class ResNet3d(FromFile):
    """A residual network with three-dimensional kernels.

    Source: Hara, Kataoka, Satoh, CVPR 2018, arXiv:1711.09577; checkpoints of the repository
        kenshohara/3D-ResNets-PyTorch, as MASTAF uses them.
    Differs: the classifier and the mean over all positions before it are left out. Clips are cut
        out of frames with a short side of 256 at 224 x 224, as MASTAF has it, and normalised as the
        weights were trained; MASTAF's own code leaves out the normalisation.
    """

    revision = 1
    source = "Hara, Kataoka, Satoh, CVPR 2018"
    pretraining = "what the weights' file has seen"
    weights = (
        "fetch one such as r3d50_KMS_200ep.pth from"
        " https://github.com/kenshohara/3D-ResNets-PyTorch and say where: --backbone NAME=PATH"
    )
    input = CroppedInput(16, 224, (0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737), resized=256)
    grid = (1, 7, 7)
    blocks: ClassVar[Sequence[int]]
    """Residual blocks in each of the four stages."""
    wide: ClassVar[bool]
    """Whether a block is a bottleneck of three convolutions."""

    def __init__(self) -> None:
        """Build the network with fresh weights."""
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        narrow = 64
        for stage, (width, count) in enumerate(zip(WIDTHS, self.blocks, strict=True), start=1):
            made = [_Block(narrow, width, 1 if stage == 1 else 2, self.wide)]
            narrow = made[0].channels
            made += [_Block(narrow, width, 1, self.wide) for _ in range(count - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*made))

    @classmethod
    def built_for(cls, weights: Mapping[str, Tensor]) -> Self:
        """Build the network, and read off its classifier what it was trained on."""
        network = cls()
        classes = len(weights["fc.weight"]) if "fc.weight" in weights else 0
        words, seen = HEADS.get(classes, ("an unknown data set", None))
        network.declare(pretraining=f"{words} ({classes} classes), with labels", seen=seen)
        return network

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, 16, 224, 224) -> (videos, channels, 1, 7, 7)."""
        maps = nn.functional.relu(self.bn1(self.conv1(clips)))
        maps = nn.functional.max_pool3d(maps, 3, stride=2, padding=1)
        for stage in range(1, 5):
            maps = self.get_submodule(f"layer{stage}")(maps)
        return maps.contiguous()


class _Block(nn.Module):
    """Two convolutions, or three with a narrow one in the middle, and a skip connection."""

    def __init__(self, narrow: int, width: int, stride: int, wide: bool) -> None:
        super().__init__()
        self.channels = 4 * width if wide else width
        if wide:
            self.conv1 = nn.Conv3d(narrow, width, 1, bias=False)
            self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
            self.conv3 = nn.Conv3d(width, self.channels, 1, bias=False)
            self.bn3 = nn.BatchNorm3d(self.channels)
        else:
            self.conv1 = nn.Conv3d(narrow, width, 3, stride, padding=1, bias=False)
            self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm3d(width), nn.BatchNorm3d(width)
        self.downsample = nn.Sequential()
        if stride != 1 or narrow != self.channels:
            around = nn.Conv3d(narrow, self.channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(around, nn.BatchNorm3d(self.channels))
        self._wide = wide

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(maps)))
        inner = self.bn2(self.conv2(inner))
        if self._wide:
            inner = self.bn3(self.conv3(torch.relu(inner)))
        return torch.relu(inner + self.downsample(maps))


class R3d18(ResNet3d):
    """18 layers."""

    name = "r3d18"
    blocks = (2, 2, 2, 2)
    wide = False
    channels = 512


class R3d34(ResNet3d):
    """34 layers."""

    name = "r3d34"
    blocks = (3, 4, 6, 3)
    wide = False
    channels = 512


class R3d50(ResNet3d):
    """50 layers: the backbone of MASTAF. 46,198,976 parameters."""

    name = "r3d50"
    blocks = (3, 4, 6, 3)
    wide = True
    channels = 2048


class R3d101(ResNet3d):
    """101 layers."""

    name = "r3d101"
    blocks = (3, 4, 23, 3)
    wide = True
    channels = 2048
