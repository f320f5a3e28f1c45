import pytest
import torch

from bench.method import FeatureShape, LabelledEpisodes, gather
from methods.strm import STRM, StrmSettings, nearest_tuple_scores

SHAPE = FeatureShape(6, 4, 6, 6)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def training_episode(method):
    encoded = method.encode(torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0)))
    support = gather(encoded, torch.arange(4).reshape(1, 2, 2))
    query = gather(encoded, torch.arange(4, 6)[None])
    return LabelledEpisodes(support, query, torch.tensor([[0, 1]]), torch.tensor([[3, 8]]))


def test_fixed_projection_is_kept_but_not_trained():
    method = STRM(SHAPE)
    assert {"fixed_weight", "fixed_bias"} <= set(method.state_dict())
    assert not {"fixed_weight", "fixed_bias"} & {name for name, _ in method.named_parameters()}


def test_auxiliary_weight_zero_leaves_the_main_scores():
    method = STRM(SHAPE, StrmSettings(auxiliary=0.0)).eval()
    episode = training_episode(method)
    main, _ = method.both_scores(episode.support, episode.query)
    torch.testing.assert_close(method.score(episode.support, episode.query), main)


def test_how_near_close_tuples_are_is_told_in_single_precision():
    """Inner products of such tuples agree in all but the last digits."""
    support = 100 + torch.rand(1, 2, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    query = support[:, 0] + 1e-3 * torch.eye(8)[:3]
    scores = nearest_tuple_scores(support, query)
    exact = nearest_tuple_scores(support.double(), query.double())
    torch.testing.assert_close(scores.double(), exact, rtol=1e-5, atol=0)
