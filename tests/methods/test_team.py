import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from bench.method import FeatureShape
from methods.parts.positions import usual_positions
from methods.team import TEAM, TEAMSettings
from tests.methods.cases import labelled_episodes, random_episode

SHAPE = FeatureShape(16, 4, 2, 3)
NAMES = ["team", *TEAM.variants]


def build(name="team", **settings):
    torch.manual_seed(0)
    return TEAM(SHAPE, TEAMSettings(tokens=5, **settings, **TEAM.variants.get(name, {}))).eval()


def read(method, frames):
    """(T, C) -> (M, C), token by token."""
    frames = method.norm(usual_positions(frames))
    rows = []
    for token in method.norm(method.tokens):
        weights = (frames @ token / (SHAPE.channels / 8) ** 0.5).softmax(dim=0)
        rows.append(weights @ frames)
    return torch.stack(rows)


def refine(method, tokens):
    return (tokens + method.mlp(tokens)).relu()


def slow_patterns(method, support):
    """(way, shot, T, C) -> lists of positive and negative tokens of each class, adapted."""
    seen = [read(method, shots.mean(dim=0)) for shots in support]
    plain_positive = [refine(method, method.tokens + o) for o in seen]
    plain_negative = [refine(method, method.tokens - o) for o in seen]
    if not method.settings.adapted:
        return plain_positive, plain_negative
    positive, negative = [], []
    for n, own in enumerate(seen):
        moved_positive, moved_negative = [], []
        for m, other in enumerate(seen):
            if m == n:
                continue
            alike = cosine_similarity(plain_positive[n], plain_positive[m], dim=-1)[:, None]
            alike_neg = cosine_similarity(plain_negative[n], plain_negative[m], dim=-1)[:, None]
            away = other - own
            moved_positive.append(refine(method, method.tokens + own - alike * away))
            moved_negative.append(refine(method, method.tokens - own + alike_neg * away))
        positive.append(torch.stack(moved_positive).mean(dim=0))
        negative.append(torch.stack(moved_negative).mean(dim=0))
    return positive, negative


def slow_scores(method, support, query):
    """(way, shot, T, C) and (T, C) -> minus the positive and the negative distances."""
    shown_positive, shown_negative = slow_patterns(method, support)
    seen = read(method, query)
    asked_positive = refine(method, method.tokens + seen)
    asked_negative = refine(method, method.tokens - seen)

    def distance(shown, asked):
        return (1 - cosine_similarity(shown, asked, dim=-1)).sum()

    positive, negative = [], []
    for n in range(len(support)):
        others = [m for m in range(len(support)) if m != n]
        positive.append(-distance(shown_positive[n], asked_positive))
        first = max(distance(shown_positive[m], asked_negative) for m in others)
        second = max(distance(shown_negative[m], asked_positive) for m in others)
        negative.append(-(first + second) / 2)
    return torch.stack(positive), torch.stack(negative)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_scores_against_loops(name):
    method = build(name)
    support, query = random_episode(method, way=4)
    scores = method.score(method.adapt(support), query)
    for e in range(2):
        for q in range(3):
            positive, negative = slow_scores(method, support[e], query[e, q])
            which = {"positive": positive, "negative": negative, "both": positive + negative}
            expected = which[method.settings.matching]
            torch.testing.assert_close(scores[e, q], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("team", {"positive", "negative"}),
        ("team-without-adaptation", {"positive", "negative"}),
        ("team-neg", {"positive", "negative"}),
        ("team-pos", {"positive"}),
    ],
)
def test_loss_terms_and_gradients(name, terms):
    method = build(name)
    episodes = labelled_episodes(method)
    losses = method.loss(episodes)
    assert set(losses) == terms
    positive, _ = method.scores(method.adapt(episodes.support), episodes.query)
    expected = cross_entropy(positive.flatten(0, 1), episodes.labels.flatten())
    torch.testing.assert_close(losses["positive"], expected)
