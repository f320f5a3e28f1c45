"""A hierarchical logit as a second opinion: effects of classes, of queries and of support videos.

The chance that method m answers a query right is, on the scale of the logit,

    mean_m + class_m[its class] + query_m[its video] + the mean of support_m[the support videos]

with normal effects, whose covariance between methods is estimated for each kind. Videos are nested
in classes, so that the precision matrix of all effects has a block for each class.

Source: penalised quasi-likelihood, Breslow and Clayton, Journal of the American Statistical
Association 88, 1993; covariances by expectation and maximisation, the error of the means included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from studies.coverage.worlds import Place

Matrix = NDArray[np.float64]
ROUNDS = 10
"""After these, the ends of an interval move by a tenth of a point at most."""
LEAST = 1e-3
"""Least variance of an effect: from zero it could not grow again."""
FLOOR = 0.002
"""Probabilities closer to 0 or 1 are clipped to this distance: their weights are negligible."""
NODES = np.polynomial.hermite_e.hermegauss(20)


@dataclass(frozen=True)
class _Class:
    """The queries of one class."""

    right: Matrix
    """(methods, queries) 0 or 1."""
    design: Matrix
    """(queries, effects): of the class, of its videos as queries, of its videos as support."""
    kinds: NDArray[np.int64]
    """(effects,) 0, 1 or 2."""


@dataclass(frozen=True)
class Fit:
    """The model fitted to the answers on a bank."""

    means: Matrix
    """(methods,) on the scale of the logit."""
    covariance: Matrix
    """(methods, methods) of the means."""
    variances: Matrix
    """(methods,) of the sum of all effects of a query."""
    classes: int

    def accuracy(self, means: Matrix) -> Matrix:
        """(methods,) accuracy over all possible classes and videos."""
        points, weights = NODES
        logits = means[:, None] + self.variances[:, None] ** 0.5 * points
        return np.asarray(_logistic(logits) @ weights / weights.sum())

    @cached_property
    def reach(self) -> float:
        """The quantile of Student's t for 95%."""
        return float(stdtrit(self.classes - 1, 0.975))

    def interval(self) -> tuple[float, float]:
        """95%, for the accuracy of the first method."""
        step = self.reach * np.sqrt(np.diag(self.covariance))
        low, high = (float(self.accuracy(self.means + one)[0]) for one in (-step, step))
        return low, high

    def interval_of_difference(self) -> tuple[float, float]:
        """95%, for the accuracy of the first method minus that of the second."""
        step = 1e-4
        slope = (self.accuracy(self.means + step) - self.accuracy(self.means - step)) / (2 * step)
        slope *= np.array([1.0, -1.0])
        one, other = self.accuracy(self.means)
        half = self.reach * float(slope @ self.covariance @ slope) ** 0.5
        return float(one - other - half), float(one - other + half)


def fit(hits: Matrix, place: Place) -> Fit:
    """Fit the model to (methods, episodes, queries) answers, 0 or 1."""
    classes = _classes(hits, place)
    methods = len(hits)
    share = np.clip(hits.mean(axis=(1, 2)), 0.01, 0.99)
    means = np.log(share / (1 - share))
    spreads = np.stack([0.5 * np.eye(methods)] * 3)
    effects = [np.zeros((methods, one.design.shape[1])) for one in classes]
    covariance = np.eye(methods)
    for _ in range(ROUNDS):
        means, covariance, effects, spreads = _round(classes, means, effects, spreads)
    shot = place.episodes.support.shape[2]
    variances = np.diagonal(spreads[0] + spreads[1] + spreads[2] / shot)
    return Fit(means, covariance, variances, len(classes))


def _classes(hits: Matrix, place: Place) -> list[_Class]:
    labels = place.episodes.labels.astype(np.int64)
    support = np.take_along_axis(place.episodes.support, labels[:, :, None], axis=1)
    support = support.reshape(labels.size, -1)
    query = place.episodes.query.ravel()
    true = place.class_of_video[query]
    right = hits.reshape(len(hits), -1)
    found = []
    for one in np.unique(true):
        chosen = np.flatnonzero(true == one)
        videos = np.flatnonzero(place.class_of_video == one)
        design = np.zeros((len(chosen), 1 + 2 * len(videos)))
        design[:, 0] = 1
        rows = np.arange(len(chosen))
        design[rows, 1 + query[chosen] - videos[0]] = 1
        for shown in support[chosen].T:
            design[rows, 1 + len(videos) + shown - videos[0]] += 1 / support.shape[1]
        kinds = np.repeat([0, 1, 2], [1, len(videos), len(videos)])
        found.append(_Class(right[:, chosen], design, kinds))
    return found


def _round(
    classes: Sequence[_Class], means: Matrix, effects: Sequence[Matrix], spreads: Matrix
) -> tuple[Matrix, Matrix, list[Matrix], Matrix]:
    """One step of Newton for means and effects, and one of EM for the covariances of effects."""
    methods = len(means)
    solved = []
    information, pull = np.zeros((methods, methods)), np.zeros(methods)
    for one, known in zip(classes, effects, strict=True):
        logit = means[:, None] + known @ one.design.T
        chance = np.clip(_logistic(logit), FLOOR, 1 - FLOOR)  # or a step of Newton overshoots
        weight = chance * (1 - chance)
        wanted = weight * logit + one.right - chance  # the working response, weighted
        size = one.design.shape[1]
        inverse = np.linalg.inv(_precision(one, weight, spreads))
        each = np.zeros((methods, size, methods))
        each[np.arange(methods), :, np.arange(methods)] = weight @ one.design
        crossed: Matrix = each.reshape(methods * size, methods)
        target = (wanted @ one.design).ravel()
        shrunk = inverse @ crossed
        information += np.diag(weight.sum(axis=1)) - crossed.T @ shrunk
        pull += wanted.sum(axis=1) - shrunk.T @ target
        solved.append((inverse, shrunk, inverse @ target))
    covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    means = covariance @ pull
    moments, counts = np.zeros_like(spreads), np.zeros(len(spreads))
    found: list[Matrix] = []
    for one, (inverse, shrunk, alone) in zip(classes, solved, strict=True):
        value: Matrix = (alone - shrunk @ means).reshape(methods, -1)
        found.append(value)
        uncertain = (inverse + shrunk @ covariance @ shrunk.T).reshape(
            methods, value.shape[1], methods, value.shape[1]
        )
        second = np.einsum("arbr->rab", uncertain) + np.einsum("ar,br->rab", value, value)
        np.add.at(moments, one.kinds, second)
        counts += np.bincount(one.kinds, minlength=len(spreads))
    spreads = moments / counts[:, None, None] + LEAST * np.eye(methods)
    return means, covariance, found, spreads


def _precision(one: _Class, weight: Matrix, spreads: Matrix) -> Matrix:
    """(methods x effects, methods x effects) of a class's effects."""
    methods, size = len(weight), one.design.shape[1]
    found = np.zeros((methods, size, methods, size))
    prior = np.linalg.inv(spreads)[one.kinds]
    every = np.arange(size)
    for first in range(methods):
        found[first, :, first] = (one.design.T * weight[first]) @ one.design
        for second in range(methods):
            found[first, every, second, every] += prior[:, first, second]
    return found.reshape(methods * size, methods * size)


def _logistic(values: Matrix) -> Matrix:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))
