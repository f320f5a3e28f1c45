import pytest
import torch

from bench.method import FeatureShape
from methods.can import Can, CanSettings, TransductiveCan

SHAPE = FeatureShape(6, 1, 2, 3)


def build(cls, **changed):
    torch.manual_seed(0)
    return cls(SHAPE, CanSettings(**changed)).eval()


def episode(method, way=3, shot=2, queries=7):
    generator = torch.Generator().manual_seed(4)
    support = method.encode(torch.rand(way * shot, *SHAPE, generator=generator))
    query = method.encode(torch.rand(queries, *SHAPE, generator=generator))
    return support.reshape(1, way, shot, *support.shape[1:]), query[None]


@torch.no_grad()
@pytest.mark.parametrize("fraction", [35 / 75, 0.3, 1.0])
def test_rounds_against_loops(fraction):
    inductive, transductive = build(Can), build(TransductiveCan, fraction=fraction)
    support, query = episode(inductive)
    step = int(fraction * 7)
    scores = inductive.score(inductive.adapt(support), query)[0]
    for joining in range(step, 8, step):
        members = [list(shots) for shots in support[0]]
        for q in sorted(range(7), key=lambda q: -scores[q].max())[:joining]:
            members[scores[q].argmax()].append(query[0, q])
        means = torch.stack([torch.stack(maps).mean(dim=0) for maps in members])[None]
        scores = inductive.score(means, query)[0]
    ours = transductive.score(transductive.adapt(support), query)[0]
    torch.testing.assert_close(ours, scores, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("queries", [1, 2])
def test_too_few_queries_leave_the_support_set_alone(queries):
    inductive, transductive = build(Can), build(TransductiveCan)
    support, query = episode(inductive, queries=queries)
    expected = inductive.score(inductive.adapt(support), query)
    torch.testing.assert_close(transductive.score(transductive.adapt(support), query), expected)
