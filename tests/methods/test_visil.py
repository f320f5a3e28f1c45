import torch

from bench.method import FeatureShape
from methods.visil import ViSiL
from tests.methods.cases import random_episode


@torch.no_grad()
def test_similarities_are_clipped():
    torch.manual_seed(0)
    method = ViSiL(FeatureShape(6, 8, 2, 2))
    method.filters[3].weight.mul_(1000)
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    assert 1 < scores.abs().max() <= method.settings.temperature
