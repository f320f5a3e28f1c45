"""What is measured: sizes of features and episodes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.method import FeatureShape
from episodes.banks.sampler import Episodes
from episodes.errors import UserError

TOTAL_EPISODES = 10_000
"""What `total` answers for: this many episodes over the videos, encoding included."""


@dataclass(frozen=True)
class Sizes:
    """Shapes of the random features and episodes."""

    features: FeatureShape
    videos: int
    way: int
    shot: int
    queries: int
    """Of an episode, all classes together."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no episode."""
        needed = self.way * self.shot + self.queries
        if self.videos < needed:
            raise UserError(
                f"--videos {self.videos}: an episode of {self.way} x {self.shot} support videos and"
                f" {self.queries} queries takes {needed}; give at least as many"
            )

    def feature_maps(self, first: int, count: int) -> Tensor:
        """Random features of some videos, float32 (count, C, T, H, W), never negative.

        Those of a video depend on its number alone.
        """
        maps = [
            torch.rand(self.features, generator=torch.Generator().manual_seed(video))
            for video in range(first, first + count)
        ]
        return torch.stack(maps)

    def episodes(self, count: int) -> Episodes:
        """Random episodes of distinct videos; their labels say nothing."""
        generator = np.random.Generator(np.random.Philox(key=0))
        needed = self.way * self.shot + self.queries
        drawn = np.stack(
            [generator.choice(self.videos, needed, replace=False) for _ in range(count)]
        )
        support = drawn[:, : self.way * self.shot].reshape(count, self.way, self.shot)
        query = drawn[:, self.way * self.shot :]
        labels = np.zeros(query.shape, np.int16)
        return Episodes(support.astype(np.int32), query.astype(np.int32), labels)


def feature_shape(text: str) -> FeatureShape:
    """Read "C,T,H,W".

    >>> feature_shape("96,8,6,6")
    FeatureShape(channels=96, frames=8, height=6, width=6)

    Raises:
        UserError: these are not four positive whole numbers.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UserError(
            f"--features {text!r}: four positive whole numbers C,T,H,W are needed, such as 96,8,6,6"
        )
    return FeatureShape(*map(int, parts))
