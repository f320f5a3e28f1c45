"""Accuracy by class, the hardest classes, and which class is confused with which."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.comparison.frame import Comparison
from bench.runs.by_method import MethodRuns
from episodes.banks.bank import Bank

LEAST = 5
"""Fewest queries for which a share is shown: one confusion of one query would be 100%."""


@dataclass(frozen=True)
class ClassAccuracy:
    """How well the queries of one class were recognised."""

    name: str
    queries: int
    """Their number, the same for each method."""
    accuracy: Sequence[float]
    """Accuracy of each method, a fraction; NaN where the class was never queried."""


@dataclass(frozen=True)
class Confusion:
    """Queries of one class that were confused with another one."""

    true: str
    predicted: str
    share: float
    """Fraction of the queries of ``true`` that were answered ``predicted``, a mean over methods, in
    the episodes that offer both."""
    queries: int
    """Number of queries of ``true`` in these episodes."""


def without_controls(comparison: Comparison) -> Comparison:
    """Leave out controls, for which every class is hard, unless all methods are controls."""
    kept = [place for place, row in enumerate(comparison.rows) if not row.is_control]
    if not kept:
        return comparison
    return replace(
        comparison,
        rows=[comparison.rows[place] for place in kept],
        methods=[comparison.methods[place] for place in kept],
    )


def per_class(methods: Sequence[MethodRuns], bank: Bank) -> list[ClassAccuracy]:
    """Accuracy of each method on each class, the hardest class first, those never queried last.

    Args:
        methods: all on ``bank``.
        bank: whose episodes say which class each query belongs to.
    """
    names = bank.split.classes
    true = _classes(bank, bank.episodes.labels).ravel()
    queries = np.bincount(true, minlength=len(names))
    hits = []
    for method in methods:
        right = [run.rows["label"] == run.rows["prediction"] for run in method.runs]
        times = np.bincount(true, np.sum(right, axis=0), minlength=len(names))
        hits.append(times / len(method.runs))
    with np.errstate(invalid="ignore"):
        accuracy = np.array(hits) / queries
    classes = [
        ClassAccuracy(name, int(queries[index]), accuracy[:, index].tolist())
        for index, name in enumerate(names)
    ]
    return sorted(
        classes,  # NaN of classes without queries would leave the others unsorted
        key=lambda each: (float(np.mean(each.accuracy)) if each.queries else np.inf, each.name),
    )


def confusions(methods: Sequence[MethodRuns], bank: Bank, most: int = 10) -> list[Confusion]:
    """Find the pairs of classes that are confused most, the most frequent first.

    A pair is counted relative to the queries whose episode offers both, so that classes do not
    count as confused because they often meet. Each method counts once, whatever its seeds. Pairs
    that meet in fewer than `LEAST` queries are left out.
    """
    names = bank.split.classes
    offered = _classes(
        bank, np.broadcast_to(np.arange(bank.recipe.way), (len(bank.episodes), bank.recipe.way))
    )
    true = _classes(bank, bank.episodes.labels)
    pairs = true[:, :, None] * len(names) + offered[:, None, :]
    met = np.bincount(pairs.ravel(), minlength=len(names) ** 2)
    taken = np.zeros(len(names) ** 2)
    for method in methods:
        for run in method.runs:
            prediction = run.rows["prediction"].to_numpy().reshape(true.shape)
            chosen = true * len(names) + np.take_along_axis(offered, prediction.astype(np.int64), 1)
            times = np.bincount(chosen.ravel(), minlength=len(names) ** 2)
            taken += times / len(method.runs) / len(methods)
    share = np.divide(taken, met, out=np.zeros_like(taken), where=met >= LEAST)
    share[:: len(names) + 1] = 0  # the class itself is the right answer
    order = np.argsort(-share, kind="stable")[:most]
    return [
        Confusion(
            names[pair // len(names)], names[pair % len(names)], float(share[pair]), int(met[pair])
        )
        for pair in order
        if share[pair] > 0
    ]


def _classes(bank: Bank, ways: NDArray[np.integer]) -> NDArray[np.int64]:
    """(episodes, n) ways within the episode -> indices of their classes in the split."""
    first = bank.episodes.support[:, :, 0]
    classes = np.searchsorted(bank.split.class_starts, first, "right") - 1
    return np.asarray(np.take_along_axis(classes, ways.astype(np.int64), axis=1))
