import pytest
import torch

import methods.matching
from bench.method import REGISTRY, FeatureShape
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 3)


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        *(("chamfer", "both"), ("chamfer-query", "query"), ("chamfer-support", "support")),
        *(("chamfer-joint", "both"), ("chamfer-query-joint", "query")),
    ],
)
def test_the_name_says_whose_frames_look_for_their_nearest(name, sides):
    assert REGISTRY[name].settings.sides == sides


def test_temperature_scales():
    settings = methods.matching.ChamferSettings(temperature=10.0)
    warm = methods.matching.Chamfer(SHAPE, settings)
    plain = methods.matching.Chamfer(SHAPE)
    support, query = random_episode(plain)
    torch.testing.assert_close(warm.score(support, query), 10 * plain.score(support, query))
