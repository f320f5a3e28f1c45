"""Similarities of pairs of videos, worked out once: when, and that they are the episodes' own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.method import FeatureShape, Method, PairMethod
from bench.plugins.registry import built_in_methods
from bench.running import pairs
from bench.running.loop import by_pair, encode, evaluate
from bench.running.scoring import score
from episodes.banks.sampler import Episodes
from episodes.errors import UserError
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features

SHAPE = FeatureShape(12, 4, 2, 2)
VIDEOS = 70  # blocks of 48: the last one is not full
ENTRIES = built_in_methods()


def episodes_of(count: int, shot: int) -> Episodes:
    """Episodes over few videos, so that they repeat pairs; classes do not matter here."""
    drawn = draw_episodes(count, shot=shot)
    return replace(drawn, support=drawn.support % VIDEOS, query=drawn.query % VIDEOS)


@pytest.mark.parametrize("name", ["otam", "otam-paper", "chamfer"])  # a rule examines them all
def test_answers_are_those_of_single_episodes(name: str, monkeypatch: pytest.MonkeyPatch):
    method = ENTRIES[name].build(SHAPE, seed=0)
    features, episodes = random_features(VIDEOS), episodes_of(200, shot=2)
    assert pairs.repay(method, episodes, VIDEOS)
    paired = evaluate(method, features, episodes, CPU, 64, NOTHING)
    monkeypatch.setattr(pairs, "repay", lambda *_: False)
    by_episode = evaluate(method, features, episodes, CPU, 64, NOTHING)
    np.testing.assert_array_equal(paired.prediction, by_episode.prediction)
    np.testing.assert_allclose(paired.margin, by_episode.margin, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "episodes", "shot", "videos", "expected"),
    [
        ("otam", 4, 1, 10, True),  # 4 episodes x 5 classes x 5 queries are 100 pairs of 10 videos
        ("otam", 3, 1, 10, False),
        ("otam", 2, 2, 10, True),
        ("trx", 4, 1, 10, False),  # a query looks at all shots at once
        ("hyrsm", 4, 1, 10, False),
    ],
)
def test_they_are_counted(name: str, episodes: int, shot: int, videos: int, expected: bool):
    method = ENTRIES[name].build(SHAPE, seed=0)
    assert pairs.repay(method, draw_episodes(episodes, shot=shot), videos) == expected


def test_a_pair_is_scored_once(monkeypatch: pytest.MonkeyPatch):
    method, scored = ENTRIES["otam"].build(SHAPE, seed=0), []
    plain = method.similarity

    def counted(query, support):
        similarities = plain(query, support)
        scored.append(similarities.numel())
        return similarities

    monkeypatch.setattr(method, "similarity", counted)
    videos = encode(method, random_features(VIDEOS), CPU)
    table = pairs.similarities(method, videos, CPU, NOTHING)
    assert sum(scored) == table.numel() == VIDEOS**2


def test_a_score_stands_at_its_query_and_support():
    """OTAM's variant for one direction tells who is asked from who is shown."""
    method = ENTRIES["otam-paper"].build(SHAPE, seed=0)
    videos = encode(method, random_features(VIDEOS), CPU)
    table = pairs.similarities(method, videos, CPU, NOTHING)
    support, query = torch.tensor([[[3], [68]]]), torch.tensor([[40, 1]])
    expected = score(method, videos, support, query)
    torch.testing.assert_close(pairs.look_up(table, support, query), expected)
    torch.testing.assert_close(table[40, 68], expected[0, 0, 1])
    assert (table - table.T).abs().max() > 1e-3


class MeanVectors(PairMethod):
    """Inner products of mean vectors."""

    name, revision, source, differs = "mean-vectors", 1, "this test, 2026", "nothing"
    needs, order_aware = "vector", False

    def encode(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3, 4))

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        return query @ support.mT


def test_scores_are_means_over_the_shots():
    videos = MeanVectors(SHAPE).encode(random_features(VIDEOS))
    support, query = torch.arange(12).reshape(1, 4, 3), torch.tensor([[20, 30]])
    found = score(MeanVectors(SHAPE), videos, support, query)
    expected = videos[query[0]] @ videos[:12].reshape(4, 3, -1).mean(dim=1).T
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("own", ["adapt", "score"])
@pytest.mark.parametrize("other", [MeanVectors, PairMethod])
def test_a_pair_method_cannot_score_in_another_way(own: str, other: type[Method]):
    with pytest.raises(UserError, match=rf"has its own {own}\(\).* derive from Method"):
        type("Other", (other,), {own: lambda self, *_: None})


def test_similarities_of_another_shape_are_refused():
    class Transposed(MeanVectors):
        def similarity(self, query: Tensor, support: Tensor) -> Tensor:
            return support @ query.mT

    videos = random_features(VIDEOS).mean(dim=(2, 3, 4))
    with pytest.raises(UserError, match=r"\(1, 4, 2\); .* is \(1, 2, 4\): correct its similarity"):
        score(Transposed(SHAPE), videos, torch.arange(4).reshape(1, 4, 1), torch.tensor([[8, 9]]))


def test_pairs_are_kept_only_where_memory_has_room(monkeypatch: pytest.MonkeyPatch):
    method, episodes = ENTRIES["otam"].build(SHAPE, seed=0), episodes_of(200, 1)
    videos = encode(method, random_features(VIDEOS), CPU)
    enough = 4 * VIDEOS**2 * 2
    for free, expected in ((enough, True), (enough - 1, False)):
        monkeypatch.setattr("bench.running.loop.free_memory", lambda _, free=free: free)
        assert by_pair(method, videos, episodes, CPU) == expected


def test_progress_is_one_count_that_ends_with_all_episodes():
    told = []
    method, episodes = ENTRIES["otam"].build(SHAPE, seed=0), episodes_of(200, 1)
    evaluate(method, random_features(VIDEOS), episodes, CPU, 64, lambda *said: told.append(said))
    assert told == [(100, 200), (200, 200)]
