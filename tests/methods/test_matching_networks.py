import math

import pytest
import torch

from bench.method import FeatureShape
from methods.matching_networks import (
    FullContextMatchingNetworks,
    FullContextSettings,
    MatchingNetworks,
    MatchingNetworksSettings,
)
from methods.parts.content_order import Pooled

SHAPE = FeatureShape(6, 1, 1, 1)


def random_episode(way=3, shot=2, queries=4):
    generator = torch.Generator().manual_seed(2)
    support = torch.rand(2, way, shot, 6, generator=generator)
    return support, torch.rand(2, queries, 6, generator=generator)


def test_plain_votes_against_loops():
    support, query = random_episode()
    method = MatchingNetworks(SHAPE, MatchingNetworksSettings(sharpness=9.0))
    unit = torch.nn.functional.normalize
    scores = method.score(method.adapt(unit(support, dim=-1)), unit(query, dim=-1))
    for e, q in [(e, q) for e in range(2) for q in range(4)]:
        votes = [
            [math.exp(9 * torch.cosine_similarity(query[e, q], shot, dim=0)) for shot in shots]
            for shots in support[e]
        ]
        total = sum(map(sum, votes))
        expected = [math.log(sum(of_class) / total) for of_class in votes]
        torch.testing.assert_close(scores[e, q], torch.tensor(expected))


def context(reading, support):
    torch.manual_seed(0)
    method = FullContextMatchingNetworks(SHAPE, FullContextSettings(reading=reading)).eval()
    with torch.no_grad():
        return method.adapt(Pooled(support, support.mean(dim=-1)))


def test_reading_by_content_is_reading_a_sorted_set():
    support, _ = random_episode(way=6, shot=1)
    order = support.mean(dim=-1)[0, :, 0].argsort()
    torch.testing.assert_close(
        context("content", support[:1])[:, order], context("given", support[:1, order])
    )


@pytest.mark.parametrize("similarity", ["closerlook", "easyfsl"])
def test_votes_are_shares(similarity):
    support, query = random_episode()
    method = FullContextMatchingNetworks(SHAPE, FullContextSettings(similarity=similarity))
    with torch.no_grad():
        state = method.adapt(Pooled(support, support.mean(dim=-1)))
        scores = method.score(state, Pooled(query, query.mean(dim=-1)))
    torch.testing.assert_close(scores.exp().sum(dim=-1), torch.full((2, 4), 1 + 3e-6))
