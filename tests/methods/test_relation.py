import pytest
import torch

from bench.method import FeatureShape, LabelledEpisodes
from methods.relation import RelationNet, RelationSettings

SHAPE = FeatureShape(4, 3, 5, 6)


def build(shape=SHAPE, **changed):
    torch.manual_seed(0)
    method = RelationNet(shape, RelationSettings(**changed))
    for norm in (method.first_norm, method.second_norm):
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
    return method.eval()


def episode(method, way=3, shot=2, queries=4):
    generator = torch.Generator().manual_seed(1)
    support = torch.rand(way, shot, *method.shape, generator=generator)
    query = torch.rand(queries, *method.shape, generator=generator)
    shown = method.encode(support.flatten(0, 1)).unflatten(0, (1, way, shot))
    return support, query, shown, method.encode(query)[None]


def test_a_video_is_its_mean_map_over_time():
    features = torch.rand(2, *SHAPE)
    torch.testing.assert_close(build().encode(features), features.mean(dim=2))


def test_squared_error_against_hand_value():
    method = build()
    torch.nn.init.zeros_(method.judge.weight)
    torch.nn.init.zeros_(method.judge.bias)
    _, _, support, query = episode(method)
    classes = torch.tensor([[7, 8, 9]])
    labelled = LabelledEpisodes(support, query, torch.tensor([[0, 2, 1, 1]]), classes)
    # Every score is sigmoid(0) = 1/2, as far from 0 as from 1.
    assert method.loss(labelled)["relation"].item() == pytest.approx(0.25)


@pytest.mark.parametrize("form", ["easyfsl", "closerlook"])
@pytest.mark.parametrize("size", [1, 2, 5, 9, 10, 14])
def test_any_grid_can_be_judged(form, size):
    method = build(FeatureShape(2, 1, size, size), form=form)
    _, _, support, query = episode(method)
    assert method.score(method.adapt(support), query).isfinite().all()
