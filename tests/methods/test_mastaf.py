import pytest
import torch
from torch.nn.functional import adaptive_avg_pool3d, cross_entropy, normalize, relu

from bench.method import REGISTRY, FeatureShape, LabelledEpisodes, apply
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


# ---- The formulas once more, as they stand in the paper's code: one pair of maps at a time.


def slow_attention(method, own, other):
    """Relations (L, L) of maps (C, L) -> attention (L,) over the positions of ``own``."""
    relations = normalize(own, dim=0).T @ normalize(other, dim=0)
    pooled = relations.mean(dim=0)
    kernel = pooled
    if method.settings.kernel == "learned":
        learner = method.learner
        kernel = learner.expand(relu(learner.norm(learner.squeeze(pooled[None]))))[0]
    scores = (relations * kernel).mean(dim=1)
    weights = torch.softmax(scores / method.settings.temperature, dim=0)
    return 1 + weights if method.settings.residual else weights


def slow_pair(method, prototype, query):
    """Attended maps of a class and a query, (weight, (C, L), (C, L)) for each branch."""
    kind, alpha = method.settings.branches, method.settings.alpha
    if kind in ("both", "cross"):
        yield (
            1.0,
            prototype * slow_attention(method, prototype, query),
            query * slow_attention(method, query, prototype),
        )
    if kind in ("both", "self"):
        yield (
            alpha if kind == "both" else 1.0,
            prototype * slow_attention(method, prototype, prototype),
            query * slow_attention(method, query, query),
        )
    if kind == "none":
        yield 1.0, prototype, query


def slow_scores(method, support, query):
    scores = torch.zeros(*query.shape[:2], support.shape[1])
    for e, q, n in torch.cartesian_prod(*(torch.arange(size) for size in scores.shape)).tolist():
        maps = support[e, n].mean(dim=0).flatten(1), query[e, q].flatten(1)
        for weight, of_class, of_query in slow_pair(method, *maps):
            pair = normalize(of_class.mean(1), dim=0), normalize(of_query.mean(1), dim=0)
            scores[e, q, n] += 7 * weight * (pair[0] * pair[1]).sum()
    return scores


VARIANTS = [
    {},
    {"alpha": 0.3},
    {"kernel": "mean"},
    {"residual": False},
    {"branches": "self"},
    {"branches": "cross"},
    {"branches": "none"},
]


@torch.no_grad()
@pytest.mark.parametrize("shot", [1, 2])
@pytest.mark.parametrize("changed", VARIANTS, ids=str)
def test_scores_against_loops(changed, shot):
    method = build(**changed)
    support, query = episodes(shot=shot)
    torch.testing.assert_close(
        answer(method, support, query), slow_scores(method, support, query), atol=2e-5, rtol=0
    )


@torch.no_grad()
@pytest.mark.parametrize("changed", VARIANTS, ids=str)
def test_losses_against_loops(changed):
    method = build(classes=9, **changed)
    support, query = episodes()
    labels, classes = (
        torch.tensor([[0, 2, 1, 1], [2, 0, 0, 1]]),
        torch.tensor([[4, 0, 8], [1, 2, 3]]),
    )
    nearest, overall = [], []
    for e, q in [(e, q) for e in range(2) for q in range(4)]:
        local = torch.zeros(9, 3)
        for n in range(3):
            maps = support[e, n].mean(dim=0).flatten(1), query[e, q].flatten(1)
            pairs = list(slow_pair(method, *maps))
            for weight, of_class, of_query in pairs:
                pooled = normalize(of_class.mean(dim=1), dim=0)
                local[:, n] += 7 * weight * (normalize(of_query, dim=0).T @ pooled)
            if n == labels[e, q]:
                logits = method.head(pairs[0][2].T)
                overall.append(cross_entropy(logits, classes[e, n].expand(9)))
        nearest.append(cross_entropy(local, labels[e, q].expand(9)))
    terms = method.loss(LabelledEpisodes(*encoded(method, support, query), labels, classes))
    torch.testing.assert_close(terms["nearest"], 0.5 * torch.stack(nearest).mean())
    torch.testing.assert_close(terms["global"], torch.stack(overall).mean())


def test_no_loss_reaches_the_querys_own_self_attention(monkeypatch):
    method = build(classes=9)
    support, query = encoded(method, *episodes())
    compare, seen = method.compare, []

    def compare_and_remember(*maps):
        cross, own = compare(*maps)
        seen.append(own.of_query.detach().requires_grad_())
        return [cross, own._replace(of_query=seen[0])]

    monkeypatch.setattr(method, "compare", compare_and_remember)
    labels, classes = torch.zeros(2, 4, dtype=torch.long), torch.tensor([[4, 0, 8], [1, 2, 3]])
    sum(method.loss(LabelledEpisodes(support, query, labels, classes)).values()).backward()
    assert seen[0].grad.abs().max() < 1e-6
    assert all(parameter.grad.abs().max() > 0 for parameter in method.parameters())


@pytest.mark.parametrize("form", ["default", "reference"])
@pytest.mark.parametrize("queries", [1, 4])
def test_batch_norm_meets_the_maps_in_the_authors_order(form, queries):
    method = build(batch_norm=form).train()
    support, query = encoded(method, *episodes(count=1, queries=queries))
    prototypes, seen = method.adapt(support), []
    method.learner.squeeze.register_forward_hook(lambda _, given, __: seen.append(given[0][0]))
    batches = []
    method.learner.norm.register_forward_hook(lambda _, given, __: batches.append(len(given[0])))
    method.score(prototypes, query)
    # A lone query has no statistics, and is left out.
    alone = [queries] if queries > 1 else []
    assert batches == [3, *alone, 3 * queries, 3 * queries]
    p, f = normalize(prototypes[0], dim=-1), normalize(query[0], dim=-1)
    torch.testing.assert_close(seen[0].squeeze(1), (p @ p.mT).mean(dim=1))
    torch.testing.assert_close(seen[1].squeeze(1), (f @ f.mT).mean(dim=1))
    torch.testing.assert_close(seen[2][2, 0], (p[2] @ f[0].T).mean(dim=0))
    torch.testing.assert_close(
        seen[3].flatten(0, 1).sum(0), sum((f[:, None] @ p.mT).mean(2).flatten(0, 1))
    )


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


@torch.no_grad()
def test_both_batch_norms_agree_on_several_queries():
    scores = [answer(build(batch_norm=form), *episodes()) for form in ("default", "reference")]
    torch.testing.assert_close(*scores)


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


def test_parameters_are_as_many_as_the_authors():
    parameters = build(FeatureShape(2048, 1, 7, 7)).parameters()
    assert sum(parameter.numel() for parameter in parameters) == 655


def test_no_global_leaves_out_the_head():
    settings = REGISTRY["mastaf-no-global"].settings
    assert not hasattr(
        Mastaf(CLIP, MastafSettings(classes=9, global_weight=settings.global_weight)), "head"
    )
