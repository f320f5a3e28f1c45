import itertools
import math

import pytest
import torch

from bench.method import REGISTRY, FeatureShape
from bench.plugins.registry import import_reproductions
from bench.reference import adopt, names_of
from methods.fast.trx import FastTRX
from methods.parts.positions import usual_positions
from methods.trx import TRX, TrxSettings
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 5, 2, 2)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def slow_score(head, cardinality, query, shots):
    """One query (T, C) and the shots of one class (shot, T, C), tuple by tuple."""

    def tuples(frames):
        frames = usual_positions(frames)
        chosen = itertools.combinations(range(len(frames)), cardinality)
        return [torch.cat([frames[t] for t in each]) for each in chosen]

    support = [each for shot in shots for each in tuples(shot)]
    keys = torch.stack([head.norm(head.key(each)) for each in support])
    values = torch.stack([head.value(each) for each in support])
    distances = []
    for each in tuples(query):
        weights = (keys @ head.norm(head.key(each)) / math.sqrt(keys.shape[1])).softmax(dim=0)
        distances.append((head.value(each) - weights @ values).square().sum().item())
    return -sum(distances) / len(distances)


@pytest.mark.parametrize("form", [TRX, FastTRX])
@pytest.mark.parametrize("cardinalities", [(1,), (4,), (2, 3), (1, 2, 5)])
def test_scores_against_loop(cardinalities, form):
    method = form(SHAPE, TrxSettings(cardinalities=cardinalities, width=7)).eval()
    videos = torch.randn(5, *SHAPE).relu()
    frames = videos.mean(dim=(3, 4)).transpose(1, 2)
    encoded = method.encode(videos)
    support = tuple(part[:4].reshape(1, 2, 2, *part.shape[1:]) for part in encoded)
    query = tuple(part[4:][None] for part in encoded)
    with torch.no_grad():
        scores = method.score(method.adapt(support), query)
        for n in range(2):
            each = [
                slow_score(head, cardinality, frames[4], frames[2 * n : 2 * n + 2])
                for head, cardinality in zip(method.heads, cardinalities, strict=True)
            ]
            assert scores[0, 0, n].item() == pytest.approx(sum(each) / len(each), abs=1e-5)


@pytest.mark.parametrize("name", ["trx", *TRX.variants])
def test_checkpoints_of_the_authors_fit_every_set_of_cardinalities(name):
    source, target = (REGISTRY[name].build(SHAPE, seed=seed) for seed in (0, 1))
    import_reproductions()
    own = source.state_dict()
    weights = {theirs: own[ours] for theirs, ours in names_of(source).items() if ours in own}
    assert len(weights) == len(own)
    adopt(target, weights)
    support, query = random_episode(source)
    torch.testing.assert_close(target.score(support, query), source.score(support, query))


def test_tuples_are_no_longer_than_the_video():
    method = TRX(FeatureShape(6, 2, 1, 1))
    assert [head.index.tolist() for head in method.heads] == [[[0, 1]], [[0, 1]]]


def test_dropout_is_for_training_only():
    method = TRX(SHAPE)
    videos = torch.rand(2, *SHAPE)
    method.train()
    assert not torch.equal(method.encode(videos)[0], method.encode(videos)[0])
    method.eval()
    assert torch.equal(method.encode(videos)[0], method.encode(videos)[0])
