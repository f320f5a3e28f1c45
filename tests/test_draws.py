"""Random draws are fixed by arithmetic; episodes show that they are uniform (test_bank.py)."""

import numpy as np
import pytest

from episodes.draws import Draws, distinct, integers, key_from, skip, words


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


def test_keys_tell_parts_and_their_borders_apart():
    keys = [key_from(*parts) for parts in (("ab",), ("a", "b"), ("b", "a"), ("1:a",), ("",), ())]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 1 << 128 for key in keys)


@pytest.mark.parametrize("bound", [1, 2, 3, 1000, (1 << 31) - 1])
def test_integers_reach_both_ends_of_their_range_and_no_further(bound: int):
    extremes = np.array([0, (1 << 64) - 1], dtype=np.uint64)
    assert integers(extremes, bound).tolist() == [0, bound - 1]


def test_skip_ignores_an_interval_of_length_zero():
    starts, sizes = [np.array([2]), np.array([2])], [np.array([3]), np.array([0])]
    assert skip(np.array([2]), starts, sizes).tolist() == [5]
    assert skip(np.array([2]), starts[1:], sizes[1:]).tolist() == [2]


def test_distinct_draws_nothing_when_asked_for_nothing():
    assert distinct(stream(4, 0), 9).shape == (4, 0)
