import itertools
import math

import pytest
import torch

import methods.otam
from bench.method import REGISTRY, FeatureShape
from methods.otam_fsl_video import path_scores
from methods.parts.alignment import alignment_costs
from tests.methods.cases import random_episode


def slow_cost(distances, temperature, padding, hard):
    """Cell by cell, as the formula has it; for ``ta2n-rows`` ordinary soft DTW on padded rows."""

    def least(costs):
        if hard:
            return min(costs)
        return -temperature * math.log(sum(math.exp(-cost / temperature) for cost in costs))

    if padding == "ta2n-rows":
        distances = torch.nn.functional.pad(distances, (0, 0, 1, 1))
    else:
        distances = torch.nn.functional.pad(distances, (1, 1))
    rows, columns = distances.shape
    free = {"perrett": (1, columns - 1), "paper": (0, columns - 1), "ta2n-rows": range(columns)}
    cost = {}
    for i, j in itertools.product(range(rows), range(columns)):
        before = [(i - 1, j - 1), (i, j - 1)] + ([(i - 1, j)] if j in free[padding] else [])
        reached = [cost[cell] for cell in before if cell in cost]
        start = j == 0 and padding != "ta2n-rows"
        cost[i, j] = 0.0 if start or not reached else distances[i, j].item() + least(reached)
    return cost[rows - 1, columns - 1]


@pytest.mark.parametrize("padding", ["perrett", "paper", "ta2n-rows"])
@pytest.mark.parametrize("relaxation", ["soft", "hard"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (5, 5), (6, 3)])
def test_costs_against_loop(padding, relaxation, size):
    distances = torch.rand(4, 2, *size, generator=torch.Generator().manual_seed(1)).double()
    costs = alignment_costs(distances, 0.2, padding, relaxation)
    for index in itertools.product(range(4), range(2)):
        slow = slow_cost(distances[index], 0.2, padding, relaxation == "hard")
        assert costs[index].item() == pytest.approx(slow, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.0125, 0.0134, 0.03])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_weights_stay_in_the_range_of_their_numbers(temperature: float, size: int):
    """exp(-2 / 0.0134) is nothing in four bytes, of which the logarithm is no cost."""
    distances = torch.full((1, size, size), 1.9)
    costs = alignment_costs(distances, temperature)
    exact = alignment_costs(distances.double(), temperature)
    torch.testing.assert_close(costs, exact.float(), atol=1e-5, rtol=1e-5)


def slow_path_score(similarities):
    """Zhu et al.: costs, trace back, and the cosines met, one cell after the other."""
    rows, columns = similarities.shape
    padded = torch.nn.functional.pad(1 - similarities, (0, 0, 1, 1))
    cost = {}
    for i, j in itertools.product(range(rows + 2), range(columns)):
        before = [(i - 1, j - 1), (i - 1, j)] + ([(i, j - 1)] if i in (0, rows + 1) else [])
        reached = [cost.get(cell, math.inf) for cell in before]
        cost[i, j] = padded[i, j].item() + min(reached) if (i, j) != (0, 0) else 0.0
    path = [(rows + 1, columns - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        before = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        path.append(min(before, key=lambda cell: cost.get(cell, math.inf)))
    path.reverse()
    first = next(step for step, (row, _) in enumerate(path) if row == 1)
    kept = path[first : first + rows]
    return sum(similarities[row - 1, column].item() for row, column in kept)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (6, 6), (5, 3)])
def test_traced_path_against_loop(size):
    generator = torch.Generator().manual_seed(2)
    similarities = torch.rand(40, *size, generator=generator, dtype=torch.float64)
    similarities[::2] = similarities[::2].round()  # many ties
    slow = [slow_path_score(matrix) for matrix in similarities]
    torch.testing.assert_close(path_scores(similarities), torch.tensor(slow, dtype=torch.float64))


def slow_scores(method, support, query):
    """Pair by pair and class by class."""
    settings = method.settings
    episodes, way, shot = support.shape[:3]
    scores = torch.empty(episodes, query.shape[1], way)
    for e, q, n in itertools.product(*(range(size) for size in scores.shape)):
        costs = []
        for k in range(shot):
            one, other = query[e, q], support[e, n, k]
            lengths = one.norm(dim=1)[:, None] * other.norm(dim=1) + settings.epsilon
            d = 1 - one @ other.T / lengths
            runs = {"both": (d, d.T), "mean of both": (d, d.T), "one": (d,)}
            runs["reversed"] = (d, d.flip(0, 1))
            hard = settings.relaxation == "hard"
            args = settings.temperature, settings.padding, hard
            found = [slow_cost(run, *args) for run in runs[settings.directions]]
            costs.append(sum(found) / (1 if settings.directions == "both" else len(found)))
        scores[e, q, n] = -sum(costs) / shot
    return scores


@pytest.mark.parametrize("name", [methods.otam.OTAM.name, *methods.otam.OTAM.variants])
def test_scores_against_loop(name):
    method = REGISTRY[name].build(FeatureShape(6, 4, 2, 2), seed=0)
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    torch.testing.assert_close(
        scores, slow_scores(method, support.vectors, query.vectors), atol=1e-5, rtol=1e-5
    )


def test_gradients_are_finite():
    distances = torch.rand(3, 8, 8, requires_grad=True)
    alignment_costs(distances).sum().backward()
    assert distances.grad.isfinite().all()
    # The gradient is the share of paths through a cell, and every path goes through every column.
    assert (distances.grad.sum(dim=1) > 0.999).all()
