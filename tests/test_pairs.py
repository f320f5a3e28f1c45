"""Scores of pairs of videos, worked out once: when, and that they are the episodes' own."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import pairs
from bench.loop import by_pair, encode, evaluate
from bench.method import FeatureShape
from bench.registry import built_in_methods
from bench.scoring import score
from episodes.sampler import Episodes
from methods._frame_matching import FrameMatching
from methods.can import Can
from methods.matching import BiMHM
from methods.otam import OTAM
from tests.benchmarks.reference import REFERENCES
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features, separable_features

SHAPE = FeatureShape(12, 4, 2, 2)
VIDEOS = 70  # blocks of 48: the last one is not full
ENTRIES = built_in_methods()
MADE_OF_PAIRS = [
    name for name, entry in ENTRIES.items() if pairs.compared(entry.build(SHAPE, 0)) != "episodes"
]


def episodes_of(count: int, shot: int) -> Episodes:
    """Episodes over few videos, so that they repeat pairs; classes do not matter here."""
    drawn = draw_episodes(count, shot=shot)
    return replace(drawn, support=drawn.support % VIDEOS, query=drawn.query % VIDEOS)


@pytest.mark.parametrize("name", MADE_OF_PAIRS)
def test_answers_are_those_of_single_episodes(name: str, monkeypatch: pytest.MonkeyPatch):
    method = ENTRIES[name].build(SHAPE, seed=0)
    shot = 2 if method.compares == "videos" else 1
    features, episodes = random_features(VIDEOS), episodes_of(200, shot)
    assert pairs.repay(method, episodes, VIDEOS, CPU)
    paired = evaluate(method, features, episodes, CPU, 64, NOTHING)
    monkeypatch.setattr(pairs, "repay", lambda *_: False)
    by_episode = evaluate(method, features, episodes, CPU, 64, NOTHING)
    np.testing.assert_array_equal(paired.prediction, by_episode.prediction)
    np.testing.assert_allclose(paired.margin, by_episode.margin, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "videos"),
    [(name, 960) for name in REFERENCES] + [(name, 72) for name in REFERENCES if name != "hyrsm"],
)
def test_bfloat16_answers_as_float32_within_its_rounding(name: str, videos: int):
    """8 bits: a class is taken for another where two scores nearly agree, and nowhere else."""
    features, episodes = separable_features(1.2), draw_episodes(200)
    if videos < 960:  # three of the 40 of each class stand for all of them
        features = features.unflatten(0, (24, 40))[:, :3].flatten(0, 1)
        support, query = (i // 40 * 3 + i % 3 for i in (episodes.support, episodes.query))
        episodes = replace(episodes, support=support, query=query)
    exact, rough = (
        evaluate(ENTRIES[name].build(FeatureShape(24, 4, 2, 2), 0), features, episodes, *words)
        for words in ((CPU, 64, NOTHING), (CPU, 64, NOTHING, torch.bfloat16))
    )
    other = exact.prediction != rough.prediction
    assert other.mean() < 0.05
    wide = exact.margin > 0.05 * np.abs(exact.margin).max()
    assert not (other & wide).any()


@torch.no_grad()
@pytest.mark.parametrize("name", REFERENCES)
def test_both_ways_give_the_scores_of_one_episode_at_a_time(name: str):
    method = ENTRIES[name].build(SHAPE if name != "mastaf" else FeatureShape(12, 1, 2, 2), seed=0)
    features = random_features(VIDEOS, method.shape)
    episodes = episodes_of(6, 1)
    support, query = (
        torch.from_numpy(index).long() for index in (episodes.support, episodes.query)
    )
    plain = torch.stack(
        [
            REFERENCES[name](method, features[s[:, 0]], features[q])
            for s, q in zip(support, query, strict=True)
        ]
    )
    videos = encode(method, features, CPU)
    torch.testing.assert_close(score(method, videos, support, query), plain, rtol=1e-4, atol=1e-4)
    if method.compares != "episodes":
        table = pairs.pair_scores(method, videos, CPU, NOTHING)
        paired = pairs.look_up(table, support, query)
        torch.testing.assert_close(paired, plain, rtol=1e-4, atol=1e-4)


def test_otam_trx_strm_and_mastaf_are_made_of_pairs():
    assert {"otam", "trx", "strm", "mastaf", "chamfer"} <= set(MADE_OF_PAIRS)
    assert not {"hyrsm", "can-transductive", "protonet"} & set(MADE_OF_PAIRS)


@pytest.mark.parametrize(
    ("name", "episodes", "shot", "videos", "expected"),
    [
        ("otam", 4, 1, 10, True),  # 4 episodes x 5 classes x 5 queries are 100 pairs of 10 videos
        ("otam", 3, 1, 10, False),
        ("otam", 2, 2, 10, True),
        ("trx", 4, 1, 10, True),
        ("trx", 4, 2, 10, False),  # a query looks at both shots at once
        ("hyrsm", 4, 1, 10, False),
        ("mastaf", 4, 1, 10, True),
    ],
)
def test_they_are_counted(name: str, episodes: int, shot: int, videos: int, expected: bool):
    method = ENTRIES[name].build(SHAPE, seed=0)
    assert pairs.repay(method, draw_episodes(episodes, shot=shot), videos, CPU) == expected


@pytest.mark.parametrize(("name", "expected"), [("trx", VIDEOS**2), ("otam", 48 * 70 + 22 * 22)])
def test_a_pair_is_scored_once(name: str, expected: int, monkeypatch: pytest.MonkeyPatch):
    """And once exchanged where that is another score, or both are in one block."""
    method, scored = ENTRIES[name].build(SHAPE, seed=0), []
    plain = method.score

    def counted(state, query):
        scores = plain(state, query)
        scored.append(scores.numel())
        return scores

    monkeypatch.setattr(method, "score", counted)
    videos = encode(method, random_features(VIDEOS), CPU)
    table = pairs.pair_scores(method, videos, CPU, NOTHING)
    assert sum(scored) == pairs.worked_out(method, VIDEOS, CPU) == expected
    assert table.numel() == VIDEOS**2


def test_a_score_stands_at_its_support_and_query():
    """OTAM's variant for one direction tells who is asked from who is shown."""
    method = ENTRIES["otam-paper"].build(SHAPE, seed=0)
    videos = encode(method, random_features(VIDEOS), CPU)
    table = pairs.pair_scores(method, videos, CPU, NOTHING)
    support, query = torch.tensor([[[3], [68]]]), torch.tensor([[40, 1]])
    expected = score(method, videos, support, query)
    torch.testing.assert_close(pairs.look_up(table, support, query), expected)
    torch.testing.assert_close(table[68, 40], expected[0, 0, 1])
    assert (table - table.T).abs().max() > 1e-3


SYMMETRIC = [name for name in MADE_OF_PAIRS if pairs.symmetric(ENTRIES[name].build(SHAPE, 0))]


def test_a_method_is_symmetric_or_not():
    assert {"otam", "mastaf", "mastaf-neighbor", "can", "bi-mhm", "visil"} <= set(SYMMETRIC)
    assert not {"otam-paper", "trx", "strm", "linear", "chamfer-query"} & set(SYMMETRIC)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_exchanged_videos_have_the_same_score(name: str):
    method = ENTRIES[name].build(SHAPE, seed=0)
    videos = encode(method, random_features(VIDEOS), CPU)
    whole = pairs.Strip(slice(0, VIDEOS), 0)
    table = pairs.strip_scores(method, videos, whole, CPU)
    torch.testing.assert_close(table, table.T, rtol=1e-4, atol=1e-4)


class OnlyTheFirstFrame(BiMHM):
    """A plugin's: what `BiMHM` says of exchanged videos is no longer so."""

    def match(self, cosines):
        return cosines[..., 0, :].amax(dim=-1)


class OnlyTheFirstFrameByAPartial(BiMHM):
    match = functools.partial(lambda cosines: cosines[..., 0, :].amax(dim=-1))


class OnlyTheFirstFrameInTheEnd(BiMHM):
    def __init__(self, shape, settings=None):
        super().__init__(shape, settings)
        self.match = lambda cosines: cosines[..., 0, :].amax(dim=-1)


class Weighted(FrameMatching):
    """A base beside `BiMHM`, with a score of its own."""

    compares = "videos"

    def score(self, state, query):
        return super().score(state, query) * query.norms.mean(dim=-1, keepdim=True)


class WeightedBiMHM(BiMHM, Weighted):
    pass


class RenamedBiMHM(BiMHM):
    """Nothing is changed that could count."""


@pytest.mark.parametrize(
    "cls",
    [
        OnlyTheFirstFrame,
        OnlyTheFirstFrameByAPartial,
        OnlyTheFirstFrameInTheEnd,
        WeightedBiMHM,
    ],
)
def test_symmetry_does_not_hold_for_a_class_with_functions_of_its_own(cls: type):
    assert pairs.compared(cls(SHAPE)) == "videos"
    assert not pairs.symmetric(cls(SHAPE))
    assert pairs.symmetric(RenamedBiMHM(SHAPE))


class AgainstTheMean(OTAM):
    """A plugin's: the scores are no longer made of pairs, and nothing says so."""

    def score(self, state, query):
        scores = super().score(state, query)
        return scores - 3 * scores.mean(dim=1, keepdim=True)


class AgainstTheMeanAgain(AgainstTheMean):
    """Nor are those of a class that derives from it in turn."""


class SaysItAnew(AgainstTheMean):
    compares = "videos"


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (AgainstTheMean, "episodes"),
        (AgainstTheMeanAgain, "episodes"),
        (SaysItAnew, "videos"),
        (Can, "videos at one shot"),  # MASTAF's own, with nothing changed but settings
    ],
)
def test_what_a_class_says_does_not_hold_for_one_that_scores_anew(cls: type, expected: str):
    assert pairs.compared(cls(SHAPE)) == expected


def test_pairs_are_kept_only_where_memory_has_room(monkeypatch: pytest.MonkeyPatch):
    method, episodes = ENTRIES["otam"].build(SHAPE, seed=0), episodes_of(200, 1)
    videos = encode(method, random_features(VIDEOS), CPU)
    enough = 4 * VIDEOS**2 * 2
    for free, expected in ((enough, True), (enough - 1, False)):
        monkeypatch.setattr("bench.loop.free_memory", lambda _, free=free: free)
        assert by_pair(method, videos, episodes, CPU) == expected


def test_progress_is_one_count_that_ends_with_all_episodes():
    told = []
    method, episodes = ENTRIES["otam"].build(SHAPE, seed=0), episodes_of(200, 1)
    evaluate(method, random_features(VIDEOS), episodes, CPU, 64, lambda *said: told.append(said))
    assert told == [(100, 200), (200, 200)]
