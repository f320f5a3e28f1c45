"""Compact letter display: methods that share a letter cannot be told apart."""

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray


def letters(different: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    """Give each method its letters, such that two methods share one unless they are different.

    Args:
        different: bool (methods, methods), symmetric: which pairs were told apart; methods stand
            in the order of the table, so that the best has an "a".

    Returns:
        for each method its letters; after "z" come "aa", "ab", ...

    Source: insert and absorb, Piepho, Journal of Computational and Graphical Statistics 13, 2004.

    >>> letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    [('a',), ('a', 'b'), ('b',)]
    """
    number = len(different)
    groups = [frozenset(range(number))]
    for one, other in zip(*np.nonzero(np.triu(different)), strict=True):
        groups = _split(groups, int(one), int(other))
    groups.sort(key=sorted)
    names = [_name(index) for index in range(len(groups))]
    return [
        tuple(name for name, group in zip(names, groups, strict=True) if method in group)
        for method in range(number)
    ]


def _split(groups: Sequence[frozenset[int]], one: int, other: int) -> list[frozenset[int]]:
    """Split the groups that hold both of two different methods; drop those within others."""
    parts: set[frozenset[int]] = set()
    for group in groups:
        parts |= {group - {one}, group - {other}} if {one, other} <= group else {group}
    return [part for part in parts if not any(part < larger for larger in parts)]


def _name(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    rest, last = divmod(index, len(ascii_lowercase))
    return (_name(rest - 1) if rest else "") + ascii_lowercase[last]
