"""Labelled episodes through which gradients flow, and which parameters they reach."""

import torch

from bench.method import LabelledEpisodes, gather


def labelled_episodes(method, shot=2):
    """Two 3-way episodes of 3 queries over 6 training classes, encoded with gradients."""
    videos = 2 * (3 * shot + 3)
    generator = torch.Generator().manual_seed(0)
    encoded = method.encode(torch.randn(videos, *method.shape, generator=generator).relu())
    rows = torch.arange(videos).reshape(2, -1)
    support, query = rows[:, : 3 * shot].reshape(2, 3, shot), rows[:, 3 * shot :]
    labels = torch.tensor([[0, 2, 1], [1, 1, 0]])
    classes = torch.tensor([[4, 0, 2], [3, 1, 5]])
    return LabelledEpisodes(gather(encoded, support), gather(encoded, query), labels, classes)


def untrained(method, shot=2):
    """Names of the parameters that get no gradient, or only zeros, from the loss in training."""
    terms = method.train().loss(labelled_episodes(method, shot))
    sum(terms.values()).backward()
    named = method.named_parameters()
    return {name for name, p in named if p.grad is None or not p.grad.any()}
