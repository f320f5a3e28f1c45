import pytest
import torch

from bench.method import FeatureShape
from methods.cross_transformer import CrossTransformer, CrossTransformerSettings, Projected

SHAPE = FeatureShape(6, 4, 1, 1)


@torch.no_grad()
def test_scores_against_loops():
    torch.manual_seed(0)
    method = CrossTransformer(SHAPE, CrossTransformerSettings(width=3))
    support, query = torch.rand(2, 3, 2, 4, 6), torch.rand(2, 5, 4, 6)
    state = method.adapt(Projected(method.key(support), method.value(support)))
    scores = method.score(state, Projected(method.key(query), method.value(query)))
    for e, q, n in torch.cartesian_prod(*(torch.arange(size) for size in (2, 5, 3))).tolist():
        total = 0.0
        for frame in query[e, q]:
            others = support[e, n].flatten(0, 1)
            alike = torch.stack([method.key(frame) @ method.key(other) for other in others])
            weights = torch.softmax(alike / 3**0.5, dim=0)
            aligned = sum(w * method.value(o) for w, o in zip(weights, others, strict=True))
            total += torch.cosine_similarity(method.value(frame), aligned, dim=0)
        torch.testing.assert_close(scores[e, q, n], total / 8)


@pytest.mark.parametrize(("channels", "width"), [(2048, 1024), (1, 1), (7, 3)])
def test_default_width_is_half_the_channels(channels, width):
    method = CrossTransformer(FeatureShape(channels, 1, 1, 1))
    assert method.key.weight.shape == (width, channels)
