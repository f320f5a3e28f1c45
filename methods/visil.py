"""ViSiL: filter the matrix of cosines between frames, then match frames.

Two frames may be similar by accident; runs of them are not. In the matrix of cosines between the
frames of two videos such a run is a diagonal line, which a small convolutional network can find as
it would in a picture. What the network leaves of the matrix is matched as Chamfer does: each row
finds its largest entry. Once with the query's frames as the rows, once with the support video's.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from bench.method import FeatureShape, PairMethod, Settings, register
from methods.parts.frames import cosines, frame_vectors


@dataclass(frozen=True)
class VisilSettings(Settings):
    """Settings of `ViSiL`."""

    temperature: float = 10.0
    """Factor of the scores; only training feels it."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""


@register
class ViSiL(PairMethod):
    """Filter the matrix of cosines, so that runs of similar frames count; match what remains."""

    name = "visil"
    source = """Kordopatis-Zilos et al., ICCV 2019, arXiv:1908.07410, as in Bertrand, Kalantidis,
    Tolias, SCIA 2023, arXiv:2303.16084; jbertrand89/temporal_matching at 4f14d68"""
    differs = """nothing from the code named; ViSiL itself also compares regions of frames, and is
    trained for retrieval. Videos too short to be halved twice are not halved"""
    needs = "frames"
    order_aware = True
    Settings = VisilSettings
    settings: VisilSettings

    def __init__(self, shape: FeatureShape, settings: VisilSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.filters = nn.ModuleList(
            nn.Conv2d(narrow, wide, size, padding=size // 2, bias=False)
            for narrow, wide, size in ((1, 32, 3), (32, 64, 3), (64, 128, 3), (128, 1, 1))
        )

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """Frame vectors (..., A, T, C) and (..., B, T, C) -> (..., A, B)."""
        M = cosines(query, support, self.settings.epsilon)
        return self.settings.temperature * (self.match(M) + self.match(M.mT)) / 2

    def match(self, M: Tensor) -> Tensor:
        """Filter (..., rows, columns), then average the largest entry of each row: (...)."""
        first, second, third, last = self.filters
        maps = M.reshape(-1, 1, *M.shape[-2:])
        maps = relu(halve(first(maps)))
        maps = relu(halve(second(maps)))
        maps = last(third(maps)).clamp(-1, 1)
        return maps.amax(dim=-1).mean(dim=(1, 2)).reshape(M.shape[:-2])


def halve(maps: Tensor) -> Tensor:
    """Keep the largest of two by two positions, as far as there are two."""
    height, width = maps.shape[-2:]
    return max_pool2d(maps, (min(height, 2), min(width, 2)))
