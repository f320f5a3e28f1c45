import pytest
import torch

from bench.method import FeatureShape
from methods.can import Can, TransductiveCan

SHAPE = FeatureShape(6, 1, 2, 3)


def build(cls):
    torch.manual_seed(0)
    return cls(SHAPE).eval()


def episode(method, way=3, shot=2, queries=7):
    generator = torch.Generator().manual_seed(4)
    support = method.encode(torch.rand(way * shot, *SHAPE, generator=generator))
    query = method.encode(torch.rand(queries, *SHAPE, generator=generator))
    return support.reshape(1, way, shot, *support.shape[1:]), query[None]


@torch.no_grad()
@pytest.mark.parametrize("queries", [1, 2])
def test_too_few_queries_leave_the_support_set_alone(queries):
    inductive, transductive = build(Can), build(TransductiveCan)
    support, query = episode(inductive, queries=queries)
    expected = inductive.score(inductive.adapt(support), query)
    torch.testing.assert_close(transductive.score(transductive.adapt(support), query), expected)
