"""Random draws that stay the same on every platform, Python and numpy.

numpy promises that the raw words of ``Philox`` never change, and makes no such promise for the
methods of ``Generator``. So everything random in a bank or a rendered video is made here from raw
words, by exact arithmetic: integer multiplication and shifts, and sums and products in float64.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

WORDS_PER_BLOCK = 4
"""Words that Philox yields for each step of its counter."""


def key_from(*parts: str) -> int:
    """Return a 128-bit key for parts of text; different parts give different streams.

    >>> key_from("a", "b") == key_from("a", "b")
    True
    >>> key_from("ab") == key_from("a", "b")
    False
    """
    text = "\n".join(f"{len(part)}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def words(key: int, first_block: int, blocks: int) -> Words:
    """Return ``blocks * 4`` words of the stream ``key``, starting at block ``first_block``.

    The words of a block do not depend on which other blocks are asked for.

    >>> bool((words(7, 0, 3)[8:] == words(7, 2, 1)).all())
    True
    """
    stream = np.random.Philox(key=key, counter=first_block)
    return np.asarray(stream.random_raw(blocks * WORDS_PER_BLOCK), dtype=np.uint64)


def integers(source: Words, bound: int | Integers) -> Integers:
    """Map words to integers in ``[0, bound)``: the upper 32 bits times the bound, shifted down.

    The probabilities of two values differ by less than ``bound / 2**32``.

    Args:
        source: words, any shape.
        bound: positive and below ``2**31``; broadcasts against ``source``.
    """
    high = (source >> np.uint64(32)).astype(np.uint64)
    product = high * np.asarray(bound, dtype=np.uint64)
    return (product >> np.uint64(32)).astype(np.int64)


def skip(rank: Integers, starts: Sequence[Integers], sizes: Sequence[Integers]) -> Integers:
    """Turn a rank among the free positions into a position, skipping the taken intervals.

    Args:
        rank: (...) 0 for the first free position, 1 for the second, and so on.
        starts: first positions of the taken intervals, each (...); they must not overlap.
        sizes: lengths of these intervals, each (...); an interval of length 0 is ignored.

    >>> taken = [np.array([1]), np.array([4])], [np.array([1]), np.array([2])]
    >>> [int(skip(np.array([rank]), *taken)[0]) for rank in range(4)]
    [0, 2, 3, 6]
    """
    if not starts:
        return rank
    order = np.argsort(np.stack(starts), axis=0, kind="stable")
    sorted_starts = np.take_along_axis(np.stack(starts), order, axis=0)
    sorted_sizes = np.take_along_axis(np.stack(sizes), order, axis=0)
    position = rank.copy()
    for start, size in zip(sorted_starts, sorted_sizes, strict=True):
        position += np.where(position >= start, size, 0)
    return position


def distinct(source: Words, bound: int | Integers, taken: Sequence[Integers] = ()) -> Integers:
    """Draw distinct integers below ``bound`` in random order, one for each word of the last axis.

    The j-th draw is a rank among the values not yet taken. The distribution is that of the first
    steps of a Fisher-Yates shuffle, but the values to be shuffled are never held.

    Args:
        source: words (..., draws).
        bound: number of values, (...) or one number; at least ``draws + len(taken)``.
        taken: values that must not be drawn, each (...), all different.

    Returns:
        int64 (..., draws).

    >>> sorted(distinct(words(1, 0, 1), 4).tolist())
    [0, 1, 2, 3]
    """
    drawn = np.empty(source.shape, dtype=np.int64)
    ascending: list[Integers] = []
    for value in taken:
        _insert(ascending, value)
    for draw in range(source.shape[-1]):
        left = np.asarray(bound, dtype=np.int64) - len(ascending)
        position = integers(source[..., draw], left)
        for value in ascending:
            position += position >= value
        drawn[..., draw] = position
        _insert(ascending, position)
    return drawn


def _insert(ascending: list[Integers], value: Integers) -> None:
    """Insert a value into sorted values elementwise; sorting anew would take most of the time."""
    for place, other in enumerate(ascending):
        ascending[place], value = np.minimum(other, value), np.maximum(other, value)
    ascending.append(value)


class Draws:
    """A stream of scalars that are drawn one after another.

    >>> draws = Draws("example")
    >>> 2.0 <= draws.uniform(2.0, 3.0) < 3.0
    True
    """

    def __init__(self, *parts: str) -> None:
        """Open the stream that belongs to the text ``parts``."""
        self._stream = np.random.Philox(key=key_from(*parts))

    def uniform(self, low: float, high: float) -> float:
        """Return a float in ``[low, high)`` with 53 random bits."""
        fraction = (int(self._stream.random_raw()) >> 11) * 2.0**-53
        return low + (high - low) * fraction

    def integer(self, bound: int) -> int:
        """Return an integer in ``[0, bound)``."""
        return ((int(self._stream.random_raw()) >> 32) * bound) >> 32

    def chance(self, probability: float) -> bool:
        """Return True with the probability given."""
        return self.uniform(0.0, 1.0) < probability

    def sign(self) -> int:
        """Return -1 or 1."""
        return 1 - 2 * self.integer(2)

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """Return ``count`` random bytes."""
        raw = np.asarray(self._stream.random_raw(-(-count // 8)), dtype="<u8")
        return raw.view(np.uint8)[:count]
