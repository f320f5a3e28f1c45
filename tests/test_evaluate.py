"""The loop: what it tells methods, what it does not, and what it refuses.

What every method must keep to in it, such as scores that do not depend on the episodes scored at
once, is examined by the rules of conformance, for all methods; here are some of each kind.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.features.store import FeatureStore, StoredFeatures
from bench.method import FeatureShape, Method
from bench.plugins.registry import built_in_methods
from bench.running.execute import in_order_of_content
from bench.running.loop import evaluate
from bench.statistics import over_episodes
from episodes.banks.sampler import Episodes
from episodes.errors import UserError
from tests.synthetic import (
    CPU,
    NOTHING,
    MeanVectors,
    draw_episodes,
    random_features,
    separable_features,
)

SHAPE = FeatureShape(12, 4, 2, 2)
ENTRIES = built_in_methods()
KINDS = ("can-transductive", "clip-fsar", "hyrsm", "matching-networks-fce", "otam", "protonet")
"""Methods that see all queries, read names, encode tuples of tensors, or compare pairs."""


def accuracy(method: Method, features: Tensor, episodes: Episodes) -> float:
    answers = evaluate(method, features, episodes, CPU, 128, NOTHING)
    return float((answers.prediction == episodes.labels).mean())


def text_of(method: Method, features: Tensor) -> Tensor | None:
    """Text features that say nothing, for a method that reads names."""
    if not method.needs_text:
        return None
    return torch.rand(features.shape[:2], generator=torch.Generator().manual_seed(2))


def is_chance(method: Method, features: Tensor, episodes: Episodes) -> bool:
    text = text_of(method, features)
    answers = evaluate(method, features, episodes, CPU, 128, NOTHING, text)
    hits = (answers.prediction == episodes.labels).mean(axis=1)
    low, high = over_episodes(hits).interval(0.9999)
    rounding = 1e-9  # an interval of width 0, where every episode has one right answer
    return low - rounding <= 1 / episodes.support.shape[1] <= high + rounding


class FindsOneAnswerImpossible(MeanVectors):
    def score(self, state: Any, query: Any) -> Tensor:
        scores = super().score(state, query)
        scores[0, 0, scores[0, 0].argmin()] = -torch.inf
        return scores


def test_a_score_of_minus_infinity_is_refused_though_another_is_the_best():
    with pytest.raises(UserError, match="not finite in 5 of 20"):
        evaluate(
            *(FindsOneAnswerImpossible(SHAPE), random_features(), draw_episodes(20)),
            *(CPU, 4, NOTHING),
        )


def test_features_that_tell_the_classes_apart_are_always_right():
    assert accuracy(MeanVectors(SHAPE), separable_features(0.0), draw_episodes(500)) == 1.0


class SaysFirstWay(MeanVectors):
    def score(self, state: Any, query: Any) -> Tensor:
        scores = super().score(state, query).zero_()
        scores[..., 0] = 1.0
        return scores


class SaysPositionOfQuery(MeanVectors):
    """Query number i belongs to way number i, if nobody shuffled."""

    def score(self, state: Any, query: Any) -> Tensor:
        return torch.eye(5).expand(len(query), 5, 5)


class RemembersOrderOfVideos(MeanVectors):
    """Videos that stand near each other when they are encoded are of one class, if sorted."""

    def __init__(self, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.seen = 0

    def encode(self, features: Tensor) -> Tensor:
        self.seen += len(features)
        return torch.arange(self.seen - len(features), self.seen, dtype=torch.float32)[:, None]

    def score(self, state: Any, query: Any) -> Tensor:
        return -(query - state.transpose(1, 2)).abs()


class RemembersEarlierEpisodes(MeanVectors):
    """Every batch begins like the last one, if episodes are not independent."""

    def score(self, state: Any, query: Any) -> Tensor:
        self.last = getattr(self, "last", torch.zeros(1, 5, 5))
        scores = self.last.mean(dim=0, keepdim=True).expand(len(query), -1, -1)
        self.last = super().score(state, query)
        return scores


def shuffled_as_by_content(features: Tensor, episodes: Episodes) -> tuple[Tensor, Episodes]:
    """Hand over videos as a run does: in the order of hashes of their content."""
    hashes = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(len(features))]
    used = np.arange(len(features))
    order, moved = in_order_of_content(hashes, used, episodes, len(features))
    return features[torch.from_numpy(order)], moved


@pytest.mark.parametrize(
    "cheat", [SaysFirstWay, SaysPositionOfQuery, RemembersOrderOfVideos, RemembersEarlierEpisodes]
)
def test_a_cheat_scores_at_chance(cheat: type[MeanVectors]):
    features, episodes = shuffled_as_by_content(random_features(), draw_episodes(4000))
    assert is_chance(cheat(SHAPE), features, episodes)


def test_the_cheat_with_the_order_of_videos_works_where_they_are_sorted():
    # So the test above can fail: in canonical order the neighbours are of the same class.
    features, episodes = random_features(), draw_episodes(500)
    assert accuracy(RemembersOrderOfVideos(SHAPE), features, episodes) > 0.9


@pytest.mark.parametrize("name", KINDS)
def test_shuffled_support_labels_give_chance(name: str):
    episodes = draw_episodes(400)
    generator = np.random.default_rng(5)
    for support in episodes.support:
        generator.shuffle(support)
    features = separable_features(0.5)
    method = ENTRIES[name].build(FeatureShape(*features.shape[1:]), seed=0)
    assert is_chance(method, features, episodes)


def test_chance_is_chance():
    method = ENTRIES["chance"].build(SHAPE, seed=0)
    assert is_chance(method, random_features(), draw_episodes(10_000))


def test_the_seed_of_chance_is_obeyed_and_the_global_generator_left_alone():
    features, episodes, before = random_features(), draw_episodes(50), torch.get_rng_state()
    one, same, other = (
        evaluate(ENTRIES["chance"].build(SHAPE, seed), features, episodes, CPU, 16, NOTHING)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one.prediction, same.prediction)
    assert not np.array_equal(one.prediction, other.prediction)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["protonet", "otam", "mastaf", "trx", "chance", "single-frame"])
def test_features_that_stay_on_disk_give_the_same_answers(name: str, tmp_path: Path, monkeypatch):
    """Chunk by chunk, in another order than the shards'; a video's maps are never all in memory."""
    features = random_features(300, (12, 8, 2, 2))
    store = FeatureStore(tmp_path, {"test": "lazy"}, FeatureShape(12, 8, 2, 2))
    for first in (0, 100, 200):
        part = features[first : first + 100].numpy()
        store.write([str(number) for number in range(first, first + 100)], part, 1.0)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    stored = StoredFeatures(store, [str(number) for number in order.tolist()])
    assert stored.nbytes == features.numpy().nbytes
    generator = np.random.default_rng(0)
    support, query = (
        generator.integers(0, 300, (64, *shape), np.int32) for shape in ((5, 1), (5,))
    )
    episodes = Episodes(support, query, np.tile(np.arange(5, dtype=np.int16), (64, 1)))
    method = ENTRIES[name].build(FeatureShape(12, 8, 2, 2), 0)
    monkeypatch.setattr("bench.running.loop.READ_BYTES", 40 * features[0].numpy().nbytes)
    answers = [
        evaluate(method, one, episodes, CPU, 64, NOTHING) for one in (features[order], stored)
    ]
    np.testing.assert_array_equal(answers[0].prediction, answers[1].prediction)
    np.testing.assert_allclose(answers[0].margin, answers[1].margin, rtol=1e-4, atol=1e-5)
