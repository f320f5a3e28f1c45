"""Small synthetic episodes on which the rules test a method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.method import FeatureShape, Method, Representation, gather
from bench.running import scoring
from bench.running.loop import encode

SHAPE = FeatureShape(channels=12, frames=4, height=3, width=2)
"""Small, with four different sizes, so that confusing two axes is noticed."""
GRID = FeatureShape(channels=12, frames=8, height=6, width=6)
"""The grid of the default backbone, to which `order_aware` refers, with fewer channels."""
VECTORS = FeatureShape(channels=12, frames=8, height=1, width=1)
"""One vector per frame: methods that pool large grids keep the frames apart here."""
CPU = torch.device("cpu")
NOISE = 1.5
"""Standard deviation of the noise around a class, whose values have standard deviation 1."""


@dataclass(frozen=True)
class Trial:
    """Feature maps of some videos, and episodes over them."""

    features: Tensor
    """(videos, C, T, H, W), not negative."""
    support: Tensor
    """int64 (episodes, way, shot): indices of videos."""
    query: Tensor
    """int64 (episodes, queries): indices of videos."""
    labels: Tensor
    """int64 (episodes, queries): 0..way-1."""
    text: Tensor
    """(videos, C): text feature of each video's class name, for a method that reads names."""

    @property
    def names(self) -> Tensor:
        """The text features in the precision of the videos' features."""
        return self.text.to(self.features.dtype)

    def only(self, episodes: slice | list[int]) -> "Trial":
        """Keep some episodes, in the order given."""
        return replace(
            self,
            support=self.support[episodes],
            query=self.query[episodes],
            labels=self.labels[episodes],
        )

    def asking(self, queries: slice | list[int]) -> "Trial":
        """Keep some queries of every episode, in the order given."""
        return replace(self, query=self.query[:, queries], labels=self.labels[:, queries])

    def with_features(self, change: Callable[[Tensor], Tensor]) -> "Trial":
        """Change the feature maps of all videos."""
        return replace(self, features=change(self.features))

    def with_queries(self, change: Callable[[Tensor], Tensor]) -> "Trial":
        """Change the feature maps of the queries; the support videos stay as they are."""
        queries = self.query.flatten()
        changed = change(self.features[queries])
        place = len(self.features) + torch.arange(len(changed))
        return replace(
            self,
            features=torch.cat([self.features, changed]),
            query=place.reshape(self.query.shape),
            text=torch.cat([self.text, self.text[queries]]),
        )

    def with_names(self, order: Sequence[int]) -> "Trial":
        """Exchange class names in every episode: class c gets the name of class order[c]."""
        text = self.text.clone()
        text[self.support] = self.text[self.support[:, order]]
        return replace(self, text=text)


def make_trial(
    shape: FeatureShape, episodes: int = 3, way: int = 4, shot: int = 2, queries: int = 5
) -> Trial:
    """Make episodes whose classes move from one random map to another, plus noise.

    The text feature of a class is the mean of its map, as a text tower would learn it. Every
    episode has its own classes and videos. The same arguments give the same trial.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(way, (episodes, queries), generator=generator)
    shown = torch.arange(way).repeat_interleave(shot).expand(episodes, -1)
    label = torch.cat([shown, labels], dim=1)
    row = torch.arange(episodes)[:, None]
    first, last = torch.randn(2, episodes, way, *shape, generator=generator)[:, row, label]
    time = torch.linspace(0, 1, shape.frames)[:, None, None]
    noise = NOISE * torch.randn(first.shape, generator=generator)
    features = torch.lerp(first, last, time) + noise
    text = torch.lerp(first, last, time).relu().mean(dim=(3, 4, 5)).flatten(0, 1)
    index = torch.arange(label.numel()).reshape(label.shape)
    support = index[:, : way * shot].reshape(episodes, way, shot)
    return Trial(features.flatten(0, 1).relu(), support, index[:, way * shot :], labels, text)


def with_frames(order: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Return a function that reorders the frames of maps (videos, C, T, H, W)."""
    return partial(torch.index_select, dim=2, index=torch.tensor(order))


@torch.no_grad()
def encoded(method: Method, trial: Trial) -> Representation:
    """Encode each video of a trial once, as in the evaluation loop."""
    return encode(method, trial.features, CPU)


@torch.no_grad()
def adapted(method: Method, videos: Representation, trial: Trial) -> Any:
    """Adapt the method to the support of every episode; return its state."""
    shown = gather(videos, trial.support)
    return scoring.adapted(method, shown, trial.support, CPU, trial.names)


@torch.no_grad()
def scored(method: Method, videos: Representation, trial: Trial) -> Tensor:
    """Score all queries of a trial, given its encoded videos: (episodes, queries, way)."""
    return scoring.score(method, videos, trial.support, trial.query, text=trial.names)


def answered(method: Method, trial: Trial) -> Tensor:
    """Encode, adapt and score: (episodes, queries, way)."""
    return scored(method, encoded(method, trial), trial)
