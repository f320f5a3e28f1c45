import math

import pytest
import torch

from methods.pal import prototype_contrast


def test_prototype_contrast_hand_value():
    # All sigmoids are 1/2: the first class owns 2 of 3 queries, the second 1, the third none.
    scores, labels = torch.zeros(1, 3, 3), torch.tensor([[0, 0, 1]])
    expected = -(math.log(1 / 1.6) + math.log(0.5 / 1.6)) / 2
    assert prototype_contrast(scores, labels).item() == pytest.approx(expected)
