"""ViSiL: a small convolutional network on the matrix of frame cosines, then Chamfer matching."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision
from methods.parts.frames import Frames, encode_frames, frame_cosines


@dataclass(frozen=True)
class VisilSettings(Settings):
    """Settings of `ViSiL`."""

    temperature: float = 10.0
    """Factor of the scores; only training feels it."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""


@register
class ViSiL(Method):
    """Filter the matrix of cosines, so that runs of alike frames count, and match what remains."""

    name = "visil"
    revision = 1
    source = (
        "Kordopatis-Zilos et al., ICCV 2019, arXiv:1908.07410, as in Bertrand, Kalantidis, Tolias,"
        " SCIA 2023, arXiv:2303.16084; jbertrand89/temporal_matching at 4f14d68"
    )
    differs = (
        "nothing from the code named; ViSiL itself also compares regions of frames, and is trained"
        " for retrieval. Videos too short to be halved twice are not halved"
    )
    needs = "frames"
    order_aware = True
    authors_names: ClassVar[Mapping[str, str]] = {
        f"visil_fcn.conv{layer}.weight": f"filters.{layer - 1}.weight" for layer in range(1, 5)
    }
    Settings = VisilSettings
    settings: VisilSettings

    def __init__(self, shape: FeatureShape, settings: VisilSettings | None = None) -> None:
        """Build the four filters."""
        super().__init__(shape, settings)
        self.filters = nn.ModuleList(
            nn.Conv2d(narrow, wide, size, padding=size // 2, bias=False)
            for narrow, wide, size in ((1, 32, 3), (32, 64, 3), (64, 128, 3), (128, 1, 1))
        )

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C) and norms (videos, T)."""
        return encode_frames(in_own_precision(self, features))

    def adapt(self, support: Frames) -> Frames:
        """Keep the support frames: vectors (episodes, way, shot, T, C)."""
        return support

    def score(self, state: Frames, query: Frames) -> Tensor:
        """Vectors (episodes, queries, T, C) -> mean over the shots, (episodes, queries, way)."""
        cosines = frame_cosines(query, state, self.settings.epsilon)
        # One shot at a time keeps the filtered matrices small.
        shots = [self._match(cosine) + self._match(cosine.mT) for cosine in cosines.unbind(dim=3)]
        return self.settings.temperature * torch.stack(shots).mean(dim=0) / 2

    def _match(self, cosines: Tensor) -> Tensor:
        """(..., rows, columns) -> mean over filtered rows of the largest entry, (...)."""
        first, second, third, last = self.filters
        maps = cosines.reshape(-1, 1, *cosines.shape[-2:])
        maps = relu(_halve(first(maps)))
        maps = relu(_halve(second(maps)))
        maps = last(third(maps)).clamp(-1, 1)
        matched: Tensor = maps.amax(dim=-1).mean(dim=(1, 2))
        return matched.reshape(cosines.shape[:-2])


def _halve(maps: Tensor) -> Tensor:
    """Keep the largest of two by two, as far as there are two."""
    height, width = maps.shape[-2:]
    return max_pool2d(maps, (min(height, 2), min(width, 2)))
