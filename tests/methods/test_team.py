import pytest
import torch
from torch.nn.functional import cross_entropy

from bench.method import FeatureShape
from methods.team import TEAM, TEAMSettings
from tests.methods.cases import labelled_episodes

SHAPE = FeatureShape(16, 4, 2, 3)


def build(name="team", **settings):
    torch.manual_seed(0)
    return TEAM(SHAPE, TEAMSettings(tokens=5, **settings, **TEAM.variants.get(name, {}))).eval()


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("team", {"positive", "negative"}),
        ("team-without-adaptation", {"positive", "negative"}),
        ("team-neg", {"positive", "negative"}),
        ("team-pos", {"positive"}),
    ],
)
def test_loss_terms_and_gradients(name, terms):
    method = build(name)
    episodes = labelled_episodes(method)
    losses = method.loss(episodes)
    assert set(losses) == terms
    positive, _ = method.scores(method.adapt(episodes.support), episodes.query)
    expected = cross_entropy(positive.flatten(0, 1), episodes.labels.flatten())
    torch.testing.assert_close(losses["positive"], expected)
