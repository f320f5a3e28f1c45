"""Random draws are fixed by arithmetic, and uniform."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from episodes.draws import Draws, distinct, integers, key_from, skip, words

UNLIKELY = 1e-3
"""Seeds are fixed, so a test passes always or never; this is how odd its sample may look."""


def stream(*shape: int, seed: int = 5) -> np.ndarray:
    """Words in the shape asked for."""
    count = int(np.prod(shape))
    return words(seed, 0, -(-count // 4))[:count].reshape(shape)


class TestConstants:
    """numpy guarantees the raw words of Philox; all else here is integer or exact arithmetic.

    If one of these fails, no committed bank and no rendered video can be made again.
    """

    def test_raw_words(self):
        assert words(0, 0, 1).tolist() == [
            213000021201967259,
            4455796210202625458,
            2055444239878205049,
            10411612076246414556,
        ]
        assert words(1 << 100, 9, 1).tolist() == [
            7654494256139396783,
            5974310132937219946,
            10472970601234190023,
            5480961838007627980,
        ]

    def test_key(self):
        assert key_from("a", "b") == 244660214339620226913744785937222737524
        assert key_from("é") == 323908970693394092131756197066016032538

    def test_integers(self):
        assert integers(words(7, 0, 2), 1000).tolist() == [872, 295, 420, 405, 82, 696, 296, 620]

    def test_distinct(self):
        assert distinct(words(7, 0, 2).reshape(2, 4), 6).tolist() == [[5, 1, 2, 3], [0, 4, 2, 3]]

    def test_single_draws(self):
        draws = Draws("constants")
        assert draws.uniform(0.0, 1.0).hex() == "0x1.90c3c8ac67816p-2"
        assert [draws.integer(1000) for _ in range(4)] == [885, 393, 429, 927]
        assert [draws.sign() for _ in range(8)] == [-1, 1, 1, -1, -1, -1, 1, 1]
        assert draws.bytes(9).tolist() == [101, 195, 95, 90, 147, 251, 178, 130, 154]


def test_block_of_words_does_not_depend_on_the_others():
    together = words(3, 0, 50)
    for block in (0, 1, 17, 49):
        assert words(3, block, 1).tolist() == together[4 * block : 4 * block + 4].tolist()


def test_keys_tell_parts_and_their_borders_apart():
    keys = [key_from(*parts) for parts in (("ab",), ("a", "b"), ("b", "a"), ("1:a",), ("",), ())]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 1 << 128 for key in keys)


@pytest.mark.parametrize("bound", [1, 2, 3, 1000, (1 << 31) - 1])
def test_integers_reach_both_ends_of_their_range_and_no_further(bound: int):
    extremes = np.array([0, (1 << 64) - 1], dtype=np.uint64)
    assert integers(extremes, bound).tolist() == [0, bound - 1]


def test_skip_against_a_list_of_the_free_positions():
    random = np.random.default_rng(0)
    for _ in range(200):
        taken = random.random(12) < 0.5
        edges = np.flatnonzero(np.diff(np.concatenate([[0], taken, [0]])))
        runs = random.permutation(edges.reshape(-1, 2))
        starts = [np.array([first]) for first, _ in runs]
        sizes = [np.array([end - first]) for first, end in runs]
        free = [*np.flatnonzero(~taken), 12, 13]
        for rank, position in enumerate(free):
            assert skip(np.array([rank]), starts, sizes).tolist() == [position]


def test_skip_ignores_an_interval_of_length_zero():
    starts, sizes = [np.array([2]), np.array([2])], [np.array([3]), np.array([0])]
    assert skip(np.array([2]), starts, sizes).tolist() == [5]
    assert skip(np.array([2]), starts[1:], sizes[1:]).tolist() == [2]


def test_distinct_is_uniform_over_ordered_samples():
    samples = list(permutations(range(5), 3))
    drawn = distinct(stream(60_000, 3), 5)
    counts = [int((drawn == sample).all(axis=1).sum()) for sample in samples]
    assert sum(counts) == 60_000
    assert chisquare(counts).pvalue > UNLIKELY


def test_distinct_is_uniform_over_what_is_not_taken():
    taken = [np.full(30_000, 4), np.full(30_000, 1)]
    samples = list(permutations([0, 2, 3, 5], 2))
    drawn = distinct(stream(30_000, 2), 6, taken)
    counts = [int((drawn == sample).all(axis=1).sum()) for sample in samples]
    assert sum(counts) == 30_000
    assert chisquare(counts).pvalue > UNLIKELY


def test_distinct_takes_a_bound_for_each_row():
    bounds = np.array([3, 4, 50])
    drawn = distinct(stream(3, 3), bounds)
    for row, bound in enumerate(bounds):
        assert drawn[row].tolist() == distinct(stream(3, 3)[row], int(bound)).tolist()
        assert len(set(drawn[row])) == 3
        assert drawn[row].max() < bound


def test_distinct_draws_nothing_when_asked_for_nothing():
    assert distinct(stream(4, 0), 9).shape == (4, 0)


def test_uniform_stays_in_its_range_and_fills_it():
    draws = Draws("uniform")
    values = np.array([draws.uniform(-2.0, 3.0) for _ in range(5000)])
    assert values.min() >= -2.0
    assert values.max() < 3.0
    counts, _ = np.histogram(values, bins=10, range=(-2.0, 3.0))
    assert chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_chance_has_its_probability(probability: float):
    draws = Draws("chance")
    share = np.mean([draws.chance(probability) for _ in range(4000)])
    assert share == pytest.approx(
        probability, abs=3 * (probability * (1 - probability) / 4000) ** 0.5
    )


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31])
def test_bytes_are_the_words_from_the_low_end(count: int):
    raw = words(key_from("bytes"), 0, 1 + count // 32)
    expected = [int(word) >> shift & 255 for word in raw for shift in range(0, 64, 8)]
    assert Draws("bytes").bytes(count).tolist() == expected[:count]
