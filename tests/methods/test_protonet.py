import pytest
import torch

from bench.method import REGISTRY, FeatureShape
from methods import protonet

SHAPE = FeatureShape(2, 1, 1, 1)


def build(name, shape=SHAPE):
    assert REGISTRY[name].cls.__module__ == protonet.__name__
    return REGISTRY[name].build(shape, seed=0)


def answer(method, support, query):
    """Support (way, shot, C), query (queries, C) -> scores (queries, way)."""
    way, shot, _ = support.shape
    encoded = method.encode(support.flatten(0, 1)[..., None, None, None])
    query = method.encode(query[..., None, None, None])
    if isinstance(query, torch.Tensor):
        state = method.adapt(encoded.reshape(1, way, shot, -1))
        return method.score(state, query[None])[0].detach()
    state = type(encoded)(*(part.reshape(1, way, shot, *part.shape[1:]) for part in encoded))
    return method.score(method.adapt(state), type(query)(*(part[None] for part in query)))[0]


# Two classes of two shots; their means are (2, 0) and (0, 3).
SUPPORT = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[0.0, 2.0], [0.0, 4.0]]])
QUERY = torch.tensor([[2.0, 4.0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("protonet", [-16.0, -5.0]),
        ("protonet-euclidean", [-4.0, -(5**0.5)]),
        ("protonet-cosine", [0.2**0.5, 0.8**0.5]),
        ("meta-baseline", [10 * 0.2**0.5, 10 * 0.8**0.5]),
        # |q| = sqrt 20: (2 / (sqrt 20 + .01) + 6 / (3 sqrt 20 + .01)) / 2 and so on.
        (
            "tsn-cosine",
            [
                (2 / (20**0.5 + 0.01) + 6 / (3 * 20**0.5 + 0.01)) / 2,
                (8 / (2 * 20**0.5 + 0.01) + 16 / (4 * 20**0.5 + 0.01)) / 2,
            ],
        ),
    ],
)
def test_hand_values(name, expected):
    scores = answer(build(name), SUPPORT, QUERY)
    torch.testing.assert_close(scores, torch.tensor([expected]))


def test_frames_and_positions_are_averaged():
    method = build("protonet", FeatureShape(3, 4, 2, 5))
    features = torch.rand(6, 3, 4, 2, 5)
    torch.testing.assert_close(method.encode(features), features.flatten(2).mean(dim=-1))


def test_distance_keeps_the_digits_of_close_vectors():
    close = torch.full((1, 1, 2), 4096.0)
    scores = answer(build("protonet"), close, close[0] + 0.5)
    torch.testing.assert_close(scores, torch.tensor([[-0.5]]), rtol=0, atol=0)


def test_only_the_temperature_learns():
    assert [name for name, _ in build("meta-baseline").named_parameters()] == ["temperature"]
