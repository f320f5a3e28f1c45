import itertools

import pytest
import torch

import methods.matching
from bench.method import REGISTRY, FeatureShape
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 3)


def slow_rule(name, m, weights=None):
    """The rule on one matrix of cosines, (Tq, Ts)."""
    rows, columns = range(m.shape[0]), range(m.shape[1])
    of_query = sum(max(m[i, j] for j in columns) for i in rows) / len(rows)
    of_support = sum(max(m[i, j] for i in rows) for j in columns) / len(columns)
    rules = {
        "mean": lambda: sum(m[i, j] for i in rows for j in columns) / len(rows),
        "max": lambda: max(m[i, j] for i in rows for j in columns),
        "diagonal": lambda: sum(m[i, i] for i in rows) / len(rows),
        "linear": lambda: 10 * sum(weights[i * 4 + j] * m[i, j] for i in rows for j in columns),
        "chamfer": lambda: (of_query + of_support) / 2,
        "chamfer-query": lambda: of_query,
        "chamfer-support": lambda: of_support,
        "bi-mhm": lambda: len(rows) * (of_query - 1) + len(columns) * (of_support - 1),
    }
    return rules[name]()


NAMES = ["diagonal", "mean", "max", "linear", "chamfer", "chamfer-query", "chamfer-support"]
NAMES += ["bi-mhm", "max-joint", "chamfer-joint", "chamfer-query-joint"]


@pytest.mark.parametrize("name", NAMES)
def test_scores_against_loop(name):
    method = REGISTRY[name].build(SHAPE, seed=0)
    weights = method.weights.weight[0] if name == "linear" else None
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    epsilon = 0.0 if name == "bi-mhm" else 0.01
    for e, q, n in itertools.product(*(range(size) for size in scores.shape)):
        matrices = []
        for shot in support[e, n]:
            one = query[e, q]
            lengths = one.norm(dim=1)[:, None] * shot.norm(dim=1) + epsilon
            matrices.append(one @ shot.T / lengths)
        if name.endswith("-joint"):
            matrices = [torch.cat(matrices, dim=1)]
        rule = name.removesuffix("-joint")
        slow = sum(slow_rule(rule, m, weights) for m in matrices) / len(matrices)
        torch.testing.assert_close(scores[e, q, n], slow, atol=1e-5, rtol=1e-5)


def test_temperature_scales():
    settings = methods.matching.ChamferSettings(temperature=10.0)
    warm = methods.matching.Chamfer(SHAPE, settings)
    plain = methods.matching.Chamfer(SHAPE)
    support, query = random_episode(plain)
    torch.testing.assert_close(warm.score(support, query), 10 * plain.score(support, query))
