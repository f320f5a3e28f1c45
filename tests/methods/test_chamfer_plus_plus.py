import itertools

import pytest
import torch

from bench.method import FeatureShape
from methods.chamfer_plus_plus import ChamferPlusPlus, ChamferPlusPlusSettings
from methods.parts.tuples import project_tuples, tuple_index
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 2)


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


@pytest.mark.parametrize("cardinality", [1, 2, 3])
def test_scores_against_loop(cardinality):
    method = ChamferPlusPlus(SHAPE, ChamferPlusPlusSettings(cardinality=cardinality))
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query).detach()
    for e, q, n in itertools.product(*(range(size) for size in scores.shape)):
        ours = list(query[e, q])
        theirs = list(support[e, n].flatten(0, 1))
        m = torch.tensor([[a @ b / (a.norm() * b.norm() + 0.01) for b in theirs] for a in ours])
        chamfer = (m.amax(dim=1).mean() + m.amax(dim=0).mean()) / 2
        torch.testing.assert_close(scores[e, q, n], 100 * 0.1 * chamfer, atol=1e-5, rtol=1e-5)


def test_more_frames_asked_for_than_there_are():
    method = ChamferPlusPlus(FeatureShape(6, 2, 1, 1))
    assert method.index.tolist() == [[0, 1]]


@pytest.mark.parametrize(("channels", "width"), [(96, 288), (512, 1152)])
def test_width_is_the_authors_unless_it_would_widen(channels, width):
    assert ChamferPlusPlus(FeatureShape(channels, 3, 1, 1)).projection.out_features == width
