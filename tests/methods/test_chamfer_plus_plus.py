import pytest
import torch

from bench.method import FeatureShape
from methods.chamfer_plus_plus import ChamferPlusPlus


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_more_frames_asked_for_than_there_are():
    method = ChamferPlusPlus(FeatureShape(6, 2, 1, 1))
    assert method.index.tolist() == [[0, 1]]


@pytest.mark.parametrize(("channels", "width"), [(96, 288), (512, 1152)])
def test_width_is_the_authors_unless_it_would_widen(channels, width):
    assert ChamferPlusPlus(FeatureShape(channels, 3, 1, 1)).projection.out_features == width
