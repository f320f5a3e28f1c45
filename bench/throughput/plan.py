"""Sizes of the random features and episodes on which methods are measured."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.method import FeatureShape
from episodes.banks.sampler import Episodes
from episodes.errors import UserError

TOTAL_EPISODES = 10_000
"""Number of episodes behind the stage `total`, which includes encoding all videos."""


@dataclass(frozen=True)
class Sizes:
    """Shape of the features; numbers of videos, classes, shots and queries."""

    features: FeatureShape
    videos: int
    way: int
    shot: int
    queries: int
    """Per episode, over all classes."""

    def __post_init__(self) -> None:
        """Refuse fewer videos than an episode takes."""
        if self.videos < self._videos_of_episode:
            raise UserError(
                f"--videos {self.videos}: an episode of {self.way} x {self.shot} support videos and"
                f" {self.queries} queries takes {self._videos_of_episode}; give at least as many"
            )

    @property
    def _videos_of_episode(self) -> int:
        return self.way * self.shot + self.queries

    def feature_maps(self, first: int, count: int) -> Tensor:
        """Random features of videos, float32 (count, C, T, H, W) in [0, 1).

        The features of a video depend only on its number.
        """
        maps = [
            torch.rand(self.features, generator=torch.Generator().manual_seed(video))
            for video in range(first, first + count)
        ]
        return torch.stack(maps)

    def episodes(self, count: int) -> Episodes:
        """Random episodes of distinct videos; all labels are 0."""
        generator = np.random.Generator(np.random.Philox(key=0))
        drawn = np.stack(
            [
                generator.choice(self.videos, self._videos_of_episode, replace=False)
                for _ in range(count)
            ]
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
        UserError: it is not four positive whole numbers.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UserError(
            f"--features {text!r}: four positive whole numbers C,T,H,W are needed, such as 96,8,6,6"
        )
    return FeatureShape(*map(int, parts))
