"""Inputs of the tests of single methods: chosen outputs of reference files, random episodes."""

from fnmatch import fnmatchcase

import torch

from bench.method import gather
from tests.methods.parity import outputs


def selected(family, *patterns):
    """Pytest parameters (file, output) for the outputs of a family that fit a pattern."""
    found = [
        case
        for case in outputs(family)
        if any(fnmatchcase(case.values[1], pattern) for pattern in patterns)
    ]
    assert found, f"no output of {family} fits {patterns}"
    return found


def random_episode(method, *, seed=0, episodes=2, queries=3, way=3, shot=2):
    """Encoded support and query of random features, partly zero."""
    generator = torch.Generator().manual_seed(seed)
    videos = episodes * (way * shot + queries)
    features = torch.randn(videos, *method.shape, generator=generator).relu()
    with torch.no_grad():
        encoded = method.encode(features)
    rows = torch.arange(videos).reshape(episodes, -1)
    support = rows[:, : way * shot].reshape(episodes, way, shot)
    return gather(encoded, support), gather(encoded, rows[:, way * shot :])
