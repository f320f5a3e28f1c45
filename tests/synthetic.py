"""Features and episodes without videos, for tests of methods and of the loop."""

import numpy as np
import torch
from torch import Tensor

from episodes.datasets import dataset
from episodes.recipe import Protocol, Recipe
from episodes.sampler import VERSION, Episodes, draw

NOTHING = lambda done, total: None  # noqa: E731 - a progress report that nobody reads
CPU = torch.device("cpu")


def draw_episodes(
    episodes: int, way: int = 5, shot: int = 1, protocol: Protocol = "standard"
) -> Episodes:
    """Draw episodes over the rendered test split; nothing is rendered for it."""
    recipe = Recipe("test", "rendered", "test", protocol, way, shot, 1, episodes, 3, VERSION)
    return draw(recipe, dataset("rendered").split("test"), episodes)


def class_of_video() -> Tensor:
    """Class index of each of the 960 rendered test videos."""
    split = dataset("rendered").split("test")
    return torch.from_numpy(np.repeat(np.arange(24), np.diff(split.class_starts)))


def separable_features(noise: float, shape: tuple[int, ...] = (24, 4, 2, 2)) -> Tensor:
    """Features of the test videos in which each class has a channel of its own, plus noise."""
    generator = torch.Generator().manual_seed(0)
    labels = class_of_video()
    features = noise * torch.rand(len(labels), *shape, generator=generator)
    features[torch.arange(len(labels)), labels] += 1.0
    return features


def random_features(videos: int = 960, shape: tuple[int, ...] = (12, 4, 2, 2)) -> Tensor:
    """Features that say nothing about the class."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(videos, *shape, generator=generator)
