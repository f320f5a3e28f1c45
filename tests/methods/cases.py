"""Inputs of the tests of single methods: random episodes, and labelled ones for training."""

import torch

from bench.method import LabelledEpisodes, gather


def random_episode(method, *, seed=0, episodes=2, queries=3, way=3, shot=2):
    """Encoded support and query of random features, partly zero."""
    with torch.no_grad():
        return encoded(method, seed, episodes, queries, way, shot)


def encoded(method, seed, episodes, queries, way, shot):
    """The same with gradients."""
    generator = torch.Generator().manual_seed(seed)
    videos = episodes * (way * shot + queries)
    found = method.encode(torch.randn(videos, *method.shape, generator=generator).relu())
    rows = torch.arange(videos).reshape(episodes, -1)
    support = rows[:, : way * shot].reshape(episodes, way, shot)
    return gather(found, support), gather(found, rows[:, way * shot :])


def labelled_episodes(method, shot=2):
    """Two 3-way episodes of 3 queries over 6 training classes, encoded with gradients."""
    labels = torch.tensor([[0, 2, 1], [1, 1, 0]])
    classes = torch.tensor([[4, 0, 2], [3, 1, 5]])
    return LabelledEpisodes(*encoded(method, 0, 2, 3, 3, shot), labels, classes)
