import pytest
import torch
from torch.nn.functional import cosine_similarity, relu

from bench.method import FeatureShape
from methods.hyrsm import HyRSM, HyRSMSettings
from methods.parts.attention import heads_for
from tests.methods.cases import labelled_episodes

SHAPE = FeatureShape(16, 4, 2, 3)


def build(**settings):
    torch.manual_seed(0)
    return HyRSM(SHAPE, HyRSMSettings(**settings)).eval()


def test_terms_left_out_by_default():
    method = build()
    assert set(method.loss(labelled_episodes(method))) == {"episode"}


def slow_incoherence(videos):
    total = []
    for video in videos:
        for i, first in enumerate(video):
            for j, second in enumerate(video):
                distance, apart = 1 - cosine_similarity(first, second, dim=0), abs(i - j)
                wanted = 1 - torch.exp(torch.tensor(-((apart - 1) ** 2) / 51.0))
                near, far = distance / (apart**2 + 1), 10 * relu(wanted - distance)
                total.append(near if apart <= 1 else far)
    return sum(total) / len(total)


@torch.no_grad()
def test_coherence_against_loops():
    method = build(coherence_weight=0.3, classes=6)
    episodes = labelled_episodes(method)
    pairs = zip(*method.related(method.adapt(episodes.support), episodes.query), strict=True)
    supports, queries = (torch.stack(side).flatten(0, -3) for side in pairs)
    expected = 0.3 * (slow_incoherence(supports) + slow_incoherence(queries))
    torch.testing.assert_close(method.loss(episodes)["coherence"], expected)


@pytest.mark.parametrize(("channels", "heads"), [(96, 8), (12, 4), (7, 1), (1, 1)])
def test_heads_divide_the_channels(channels, heads):
    assert heads_for(channels, 8) == heads
