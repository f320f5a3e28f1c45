import pytest
import torch

from bench.method import REGISTRY, FeatureShape
from bench.plugins.registry import import_reproductions
from bench.reference import adopt, names_of
from methods.trx import TRX
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 5, 2, 2)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


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
