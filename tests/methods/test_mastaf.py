import pytest
import torch
from torch.nn.functional import adaptive_avg_pool3d

from bench.method import FeatureShape, apply
from methods.fast.mastaf import FastMastaf
from methods.mastaf import Mastaf, MastafSettings, pooled_grid

CLIP = FeatureShape(12, 1, 3, 3)


def build(shape=CLIP, cls=Mastaf, **changed):
    """A method whose batch norm is not the identity."""
    torch.manual_seed(3)
    method = cls(shape, MastafSettings(**changed))
    for name, tensor in method.state_dict().items():
        if "norm.running" in name:
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    return method.eval()


def episodes(shape=CLIP, count=2, way=3, shot=2, queries=4):
    generator = torch.Generator().manual_seed(1)
    support = torch.rand(count, way, shot, *shape, generator=generator)
    query = torch.rand(count, queries, *shape, generator=generator)
    return support, query


def encoded(method, support, query):
    shown, asked = method.encode(support.flatten(0, 2)), method.encode(query.flatten(0, 1))
    return (
        apply(shown, lambda one: one.unflatten(0, support.shape[:3])),
        apply(asked, lambda one: one.unflatten(0, query.shape[:2])),
    )


def answer(method, support, query):
    support, query = encoded(method, support, query)
    with torch.no_grad():
        return method.score(method.adapt(support), query)


@torch.no_grad()
def test_branches_add_up_with_their_weights():
    both, cross, own = (build(branches=kind, alpha=0.3) for kind in ("both", "cross", "self"))
    given = episodes()
    expected = answer(cross, *given) + 0.3 * answer(own, *given)
    torch.testing.assert_close(answer(both, *given), expected)


@pytest.mark.parametrize("form", ["default", "reference"])
def test_a_lone_query_has_no_statistics_to_train_with(form):
    method = build(batch_norm=form).train()
    for queries, batches in ((1, 3), (4, 4)):
        before = method.learner.norm.num_batches_tracked.item()
        answer(method, *episodes(count=1, queries=queries))
        assert method.learner.norm.num_batches_tracked.item() == before + batches


@torch.no_grad()
def test_only_the_reference_batch_norm_counts_the_queries():
    support, query = episodes(shot=1)
    for form, same in (("default", True), ("reference", False)):
        method = build(batch_norm=form)
        together, alone = answer(method, support, query), answer(method, support, query[:, :1])
        assert torch.allclose(together[:, :1], alone, atol=1e-5) == same


def test_the_faster_form_counts_the_queries_too():
    plain, fast = (build(cls=cls, batch_norm="reference") for cls in (Mastaf, FastMastaf))
    for queries in (1, 4):
        given = episodes(queries=queries)
        torch.testing.assert_close(answer(fast, *given), answer(plain, *given))


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((96, 8, 6, 6), (1, 6, 6)),
        ((2048, 1, 7, 7), (1, 7, 7)),
        ((512, 8, 1, 1), (8, 1, 1)),
        ((512, 60, 1, 1), (49, 1, 1)),
        ((512, 8, 4, 4), (3, 4, 4)),
        ((768, 8, 14, 14), (1, 7, 7)),
        ((8, 2, 1, 100), (1, 1, 49)),
        ((8, 2, 100, 1), (1, 49, 1)),
        ((8, 2, 8, 20), (1, 4, 12)),
    ],
)
def test_grid_keeps_to_the_budget(shape, grid):
    assert pooled_grid(FeatureShape(*shape), 49) == grid


@pytest.mark.parametrize(
    ("shape", "grid"), [((8, 6, 6), (1, 6, 6)), ((8, 4, 4), (3, 4, 4)), ((4, 8, 8), (1, 7, 7))]
)
def test_maps_are_averaged_to_the_grid(shape, grid):
    features = torch.randn(3, 5, *shape, generator=torch.Generator().manual_seed(0))
    averaged = adaptive_avg_pool3d(features, grid).flatten(2).transpose(1, 2)
    torch.testing.assert_close(build(FeatureShape(5, *shape)).encode(features), averaged)
