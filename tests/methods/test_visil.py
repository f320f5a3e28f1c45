import itertools

import pytest
import torch

from bench.method import FeatureShape
from methods.visil import ViSiL
from tests.methods.cases import random_episode


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def filtered(method, matrix):
    """One matrix of cosines through the network, written out."""
    maps = matrix[None, None]
    for layer, convolution in enumerate(method.filters):
        maps = torch.nn.functional.conv2d(
            maps, convolution.weight, padding=1 if convolution.weight.shape[-1] == 3 else 0
        )
        if layer < 2:
            sizes = [min(size, 2) for size in maps.shape[-2:]]
            maps = torch.nn.functional.max_pool2d(maps, sizes).clamp(min=0)
    return maps[0, 0].clamp(-1, 1)


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_scores_against_loop(frames):
    method = ViSiL(FeatureShape(6, frames, 2, 2))
    with torch.no_grad():
        method.filters[3].weight.mul_(1000)  # so that the clip to [-1, 1] matters
    support, query = random_episode(method)
    with torch.no_grad():
        scores = method.score(method.adapt(support), query)
    for e, q, n in itertools.product(*(range(size) for size in scores.shape)):
        total = 0.0
        for shot in support[e, n]:
            one = query[e, q]
            m = one @ shot.T / (one.norm(dim=1)[:, None] * shot.norm(dim=1) + 0.01)
            sides = [filtered(method, side).amax(dim=1).mean().item() for side in (m, m.T)]
            total += sum(sides) / 2
        assert scores[e, q, n].item() == pytest.approx(10 * total / 2, abs=1e-4)
