import itertools
import math

import pytest
import torch

from bench.method import FeatureShape
from methods.ata import ATA, AtaSettings, Prototypes, TransductiveATA, support_loss
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 2)


def slow_pair(query, prototype, scale):
    """Appearance, temporal score and attention of one video (T, C) and one class (T, C)."""
    frames = len(query)
    z = [[scale * (q @ p).item() for p in prototype] for q in query]
    smooth = [math.log(sum(math.exp(value) for value in row)) for row in z]
    attention = [[math.exp(v - most) for v in row] for row, most in zip(z, smooth, strict=True)]
    divergence = 0.0
    for i, row in enumerate(attention):
        prior = [math.exp(-(((i - j) / frames * 8 / 2**0.5) ** 2) / 2) for j in range(frames)]
        for weight, expected in zip(row, prior, strict=True):
            divergence += weight * math.log(weight / (expected / sum(prior)) + 1e-12)
    appearance = sum(smooth) / frames
    return 5 * appearance, 5 * (2 - divergence / frames), torch.tensor(attention)


def softmax(values):
    return torch.tensor(values).softmax(dim=0)


def test_unrefined_scores_against_loop():
    method = ATA(SHAPE, AtaSettings(steps=0))
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    for e, q in itertools.product(range(2), range(3)):
        pairs = [slow_pair(query[e, q], support[e, n].mean(dim=0), 10.0) for n in range(3)]
        expected = softmax([a for a, _, _ in pairs]) + softmax([b for _, b, _ in pairs])
        torch.testing.assert_close(scores[e, q], expected, atol=1e-5, rtol=1e-5)


def test_transductive_scores_against_loop():
    method = TransductiveATA(SHAPE, AtaSettings(steps=2))
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    for e in range(2):
        start = support[e].mean(dim=1)
        prototypes = start
        for step in range(3):
            pairs = [[slow_pair(q, p, 10.0) for p in prototypes] for q in query[e]]
            by_appearance = torch.stack([softmax([a for a, _, _ in row]) for row in pairs])
            by_time = torch.stack([softmax([b for _, b, _ in row]) for row in pairs])
            if step < 2:
                drawn = []
                for n in range(3):
                    weights = (by_appearance + by_time)[:, n]
                    mean = sum(w * q for w, q in zip(weights, query[e], strict=True))
                    drawn.append(mean / weights.sum() + start[n])
                prototypes = torch.nn.functional.normalize(torch.stack(drawn), dim=-1)
        torch.testing.assert_close(scores[e], by_appearance, atol=1e-5, rtol=1e-5)


def test_support_loss_against_loop():
    support, _ = random_episode(ATA(SHAPE))
    prototypes = Prototypes(support.mean(dim=2) * 1.5, torch.tensor([10.0, 7.0]))
    found = support_loss(prototypes, support)

    def entropy(weights):
        return -sum(weight * math.log(weight + 1e-12) for weight in weights.tolist())

    for e in range(2):
        terms = []
        for n, k in itertools.product(range(3), range(2)):
            scale = prototypes.scale[e].item()
            pairs = [slow_pair(support[e, n, k], p, scale) for p in prototypes.frames[e]]
            cross = -softmax([a / 5 for a, _, _ in pairs]).log()[n].item()
            attention = pairs[n][2]
            single = sum(entropy(row) for row in attention) / 4
            terms.append(cross + 0.1 * single - entropy(attention.mean(dim=0)))
        assert found[e].item() == pytest.approx(sum(terms) / len(terms), abs=1e-5)


def test_refinement_needs_no_gradients_around_it():
    method = ATA(SHAPE, AtaSettings(steps=3))
    support, _ = random_episode(method)
    expected = method.adapt(support)
    with torch.inference_mode():
        found = method.adapt(support.clone())
    torch.testing.assert_close(found.frames, expected.frames)
    assert not found.frames.requires_grad


def test_refinement_lowers_its_loss():
    support, _ = random_episode(ATA(SHAPE))
    before, after = (ATA(SHAPE, AtaSettings(steps=steps)).adapt(support) for steps in (0, 50))
    assert (support_loss(after, support) < support_loss(before, support)).all()
