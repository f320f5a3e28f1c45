import math

import pytest
import torch

from bench.method import FeatureShape
from methods.pal import Pal, prototype_contrast


def attended(attention, video, others):
    """One vector that attends to the rows of ``others``, with one head, written out."""
    to_query, to_key, to_value = attention.in_proj_weight.chunk(3)
    of_query, of_key, of_value = attention.in_proj_bias.chunk(3)
    asked = to_query @ video + of_query
    products = torch.stack([asked @ (to_key @ other + of_key) for other in others])
    weights = torch.softmax(products / len(video) ** 0.5, dim=0)
    values = (to_value @ other + of_value for other in others)
    read = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return video + attention.out_proj.weight @ read + attention.out_proj.bias


@torch.no_grad()
def test_scores_against_loops():
    torch.manual_seed(0)
    method = Pal(FeatureShape(4, 1, 1, 1)).eval()
    method.attention.in_proj_bias.normal_()
    method.attention.out_proj.bias.normal_()
    support, query = torch.rand(2, 3, 2, 4), torch.rand(2, 5, 4)
    scores = method.score(method.adapt(support), query)
    for e in range(2):
        videos = support[e].flatten(0, 1)
        updated = torch.stack([attended(method.attention, video, videos) for video in videos])
        for q, n in [(q, n) for q in range(5) for n in range(3)]:
            asking = attended(method.attention, query[e, q], updated)
            prototype = updated[2 * n : 2 * n + 2].mean(dim=0)
            lengths = asking.norm() * prototype.norm()
            torch.testing.assert_close(scores[e, q, n], asking @ prototype / (lengths + 0.01))


def test_prototype_contrast_hand_value():
    # All sigmoids are 1/2: the first class owns 2 of 3 queries, the second 1, the third none.
    scores, labels = torch.zeros(1, 3, 3), torch.tensor([[0, 0, 1]])
    expected = -(math.log(1 / 1.6) + math.log(0.5 / 1.6)) / 2
    assert prototype_contrast(scores, labels).item() == pytest.approx(expected)
