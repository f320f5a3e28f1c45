"""Accuracy by class, the hardest classes, and which class is confused with which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.runs.by_method import MethodRuns
from episodes.banks.bank import Bank


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
    """Fraction of queries of ``true`` answered ``predicted``, where offered, over all methods."""
    queries: int
    """Number of such queries, for one method."""


def without_controls(methods: Sequence[MethodRuns]) -> Sequence[MethodRuns]:
    """Leave out controls, for which every class is hard, unless all are controls."""
    return [one for one in methods if not one.is_control] or methods


def per_class(methods: Sequence[MethodRuns], bank: Bank) -> list[ClassAccuracy]:
    """Accuracy of each method on each class, the hardest class first, those never queried last.

    Args:
        methods: all on ``bank``.
        bank: whose episodes say which class each query belongs to.
    """
    names = bank.split.classes
    true = _classes(bank, bank.episodes.labels)
    queries = np.bincount(true.ravel(), minlength=len(names))
    hits = np.array([_hits(one, true.ravel(), len(names)) for one in methods])
    with np.errstate(invalid="ignore"):
        accuracy = hits / queries
    classes = [
        ClassAccuracy(name, int(queries[index]), [float(one) for one in accuracy[:, index]])
        for index, name in enumerate(names)
    ]
    return sorted(
        classes,  # NaN of classes without queries would leave the others unsorted
        key=lambda one: (float(np.mean(one.accuracy)) if one.queries else np.inf, one.name),
    )


def _hits(one: MethodRuns, true: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(classes,) queries answered right, a mean over training seeds."""
    hits = [
        np.bincount(
            true[(run.rows["label"] == run.rows["prediction"]).to_numpy()], minlength=classes
        )
        for run in one.runs
    ]
    return np.asarray(np.mean(hits, axis=0))


def confusions(methods: Sequence[MethodRuns], bank: Bank, most: int = 10) -> list[Confusion]:
    """Find the classes that are confused most, the most frequent pair first.

    Each pair is counted relative to the queries whose episode offers both, so that classes do not
    count as confused because they often meet.
    """
    names = bank.split.classes
    offered = _classes(
        bank, np.broadcast_to(np.arange(bank.recipe.way), (len(bank.episodes), bank.recipe.way))
    )
    true = _classes(bank, bank.episodes.labels)
    pairs = true[:, :, None] * len(names) + offered[:, None, :]
    met = np.bincount(pairs.ravel(), minlength=len(names) ** 2)
    taken = np.zeros(len(names) ** 2)
    for one in methods:
        for run in one.runs:
            prediction = run.rows["prediction"].to_numpy().reshape(true.shape)
            chosen = true * len(names) + np.take_along_axis(offered, prediction.astype(np.int64), 1)
            times = np.bincount(chosen.ravel(), minlength=len(names) ** 2)
            taken += times / len(one.runs) / len(methods)
    share = np.divide(taken, met, out=np.zeros_like(taken), where=met > 0)
    share[:: len(names) + 1] = 0  # the class itself is the right answer
    order = np.argsort(-share, kind="stable")[:most]
    return [
        Confusion(
            names[one // len(names)], names[one % len(names)], float(share[one]), int(met[one])
        )
        for one in order
        if share[one] > 0
    ]


def _classes(bank: Bank, ways: NDArray[np.integer]) -> NDArray[np.int64]:
    """(episodes, n) ways within the episode -> indices of their classes in the split."""
    first = bank.episodes.support[:, :, 0]
    classes = np.searchsorted(bank.split.class_starts, first, "right") - 1
    return np.asarray(np.take_along_axis(classes, ways.astype(np.int64), axis=1))
