import pytest
import torch
from torch.nn.functional import conv2d, conv3d, cross_entropy, relu

from bench.method import FeatureShape
from methods.molo import MoLo, MoLoSettings
from tests.methods.cases import labelled_episodes, random_episode

SHAPE = FeatureShape(16, 4, 2, 3)


def build(shape=SHAPE, **settings):
    torch.manual_seed(0)
    return MoLo(shape, MoLoSettings(width=24, **settings)).eval()


def slow_distances(support, query):
    """1 - cosine with 0.01 added to the norms: (Ts, C) and (Tq, C) -> nested lists [Tq][Ts]."""
    return [[1 - (q @ s) / (q.norm() * s.norm() + 0.01) for s in support] for q in query]


def slow_branch(support, query):
    """Tokens (shot, 1 + T, C) and (1 + T, C) -> match, support to query, query to support."""
    support = support.mean(dim=0)
    distances = slow_distances(support[1:], query[1:])
    forth = sum(min(row) for row in distances)
    back = sum(min(column) for column in zip(*distances, strict=True))
    to_query = sum(slow_distances(support[1:], query[:1])[0])
    to_support = sum(row[0] for row in slow_distances(support[:1], query[1:]))
    return torch.stack([-(forth + back), -to_query, -to_support])


@torch.no_grad()
def test_scores_against_loops():
    method = build()
    method.motion.scale.fill_(0.5)
    support, query = random_episode(method)
    state = method.adapt(support)
    branches = method.compare(state, query)
    scores = method.score(state, query)
    for e, q, n in [(0, 0, 0), (0, 2, 1), (1, 1, 2)]:
        frames = slow_branch(support.frames[e, n], query.frames[e, q])
        motion = slow_branch(support.motion[e, n], query.motion[e, q])
        found = [torch.stack([part[e, q, n] for part in branch]) for branch in branches]
        torch.testing.assert_close(found[0], frames)
        torch.testing.assert_close(found[1], motion * torch.tensor([1, 0.5, 0.5]))
        torch.testing.assert_close(scores[e, q, n], frames[0] + 0.3 * motion[0])


@torch.no_grad()
def test_motion_is_a_convolved_map_minus_the_one_before():
    method = build()
    layer, maps = method.motion, torch.randn(2, *SHAPE)
    reduced = conv3d(maps, layer.reduce.weight, layer.reduce.bias, padding=1)
    steps = []
    for t in range(SHAPE.frames - 1):
        after = conv2d(reduced[:, :, t + 1], layer.next.weight[:, :, 0], layer.next.bias, padding=1)
        step = after - reduced[:, :, t]
        steps.append(relu(conv2d(step, layer.expand.weight[:, :, 0], layer.expand.bias)))
    pooled = torch.stack([step.mean(dim=(2, 3)) for step in steps], dim=1)
    expected = super(type(layer), layer).forward(pooled)
    torch.testing.assert_close(layer(maps), expected)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        (FeatureShape(16, 4, 1, 1), {}),
        (FeatureShape(16, 1, 2, 3), {}),
        (SHAPE, {"motion": False}),
    ],
)
@torch.no_grad()
def test_frame_branch_alone(shape, settings):
    method = build(shape, **settings)
    support, query = random_episode(method)
    state = method.adapt(support)
    assert support.motion.shape[-2] == 0
    (branch,) = method.compare(state, query)
    torch.testing.assert_close(method.score(state, query), branch.match)


@torch.no_grad()
def test_frame_branch_alone_is_the_frame_part_of_both():
    both, alone = build(), build(motion=False)
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if "motion" not in k})
    support, query = random_episode(both)
    parts = both.compare(both.adapt(support), query)
    support, query = random_episode(alone)
    torch.testing.assert_close(alone.score(alone.adapt(support), query), parts[0].match)


@torch.no_grad()
def test_loss_terms():
    method = build(classes=6)
    episodes = labelled_episodes(method)
    terms = method.loss(episodes)
    labels = episodes.labels.flatten()
    branches = method.compare(method.adapt(episodes.support), episodes.query)
    contrasts = [part for branch in branches for part in branch[1:]]
    expected = sum(cross_entropy(scores.flatten(0, 1), labels) for scores in contrasts)
    torch.testing.assert_close(terms["contrastive"], 0.05 * expected)

    videos, targets = [], []
    for e in range(2):
        for n in range(3):
            for s in range(2):
                tokens = [branch[e, n, s] for branch in episodes.support]
                videos.append(sum(part.mean(dim=0) for part in tokens))
                targets.append(episodes.classes[e, n])
        for q in range(3):
            videos.append(sum(branch[e, q].mean(dim=0) for branch in episodes.query))
            targets.append(episodes.classes[e, episodes.labels[e, q]])
    expected = cross_entropy(method.head(torch.stack(videos)), torch.stack(targets))
    torch.testing.assert_close(terms["classes"], 0.15 * expected)
    assert set(build().loss(episodes)) == {"episode", "contrastive"}
