import torch

import methods.matching
from bench.method import FeatureShape
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 3)


def test_temperature_scales():
    settings = methods.matching.ChamferSettings(temperature=10.0)
    warm = methods.matching.Chamfer(SHAPE, settings)
    plain = methods.matching.Chamfer(SHAPE)
    support, query = random_episode(plain)
    torch.testing.assert_close(warm.score(support, query), 10 * plain.score(support, query))
