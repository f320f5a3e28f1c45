import itertools

import pytest
import torch

from bench.method import FeatureShape
from methods.chamfer_plus_plus import ChamferPlusPlus
from methods.parts.tuples import project_tuples, tuple_index


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("cardinality", [1, 2, 3, 4])
def test_projection_of_parts_is_that_of_the_whole(cardinality):
    frames = torch.randn(3, 4, 6)
    linear = torch.nn.Linear(cardinality * 6, 5)
    found = project_tuples(frames, tuple_index(4, cardinality), linear.weight, linear.bias)
    for place, chosen in enumerate(itertools.combinations(range(4), cardinality)):
        whole = linear(torch.cat([frames[:, t] for t in chosen], dim=1))
        torch.testing.assert_close(found[:, place], whole)


def test_more_frames_asked_for_than_there_are():
    method = ChamferPlusPlus(FeatureShape(6, 2, 1, 1))
    assert method.index.tolist() == [[0, 1]]


@pytest.mark.parametrize(("channels", "width"), [(96, 288), (512, 1152)])
def test_width_is_the_authors_unless_it_would_widen(channels, width):
    assert ChamferPlusPlus(FeatureShape(channels, 3, 1, 1)).projection.out_features == width
