"""Figures of a method that are worth knowing and break no rule."""

from typing import NamedTuple

import torch
from torch import Tensor

from bench.conformance.rule import Reordered, Subject
from bench.conformance.trial import SHAPE, VECTORS, answered, make_trial


class Figures(NamedTuple):
    """Fractions of predictions, before training, on made-up episodes."""

    reversal_changes: float
    """Other than before once the queries' frames are reversed, on the grid of the default
    backbone."""
    reversal_changes_on_vectors: float
    """The same where there is one vector a frame."""
    bfloat16_changes: float
    """Other in bfloat16 than in float32."""
    bfloat16_accuracy_loss: float
    """Right in float32 less right in bfloat16."""


def figures(subject: Subject) -> Figures:
    """Compute the figures of a method that keeps all rules."""
    on_vectors = _reversal_changes(subject.reordered(VECTORS))
    return Figures(
        _reversal_changes(subject.on_the_default_grid), on_vectors, *_in_bfloat16(subject)
    )


def _reversal_changes(scores: Reordered) -> float:
    return _share(_predictions(scores.forwards) != _predictions(scores.backwards))


def _in_bfloat16(subject: Subject) -> tuple[float, float]:
    """Share of 80 predictions that change, and loss of accuracy."""
    trial = make_trial(SHAPE, episodes=8, queries=10)
    exact = _predictions(answered(subject.build(), trial))
    narrow = trial.with_features(torch.Tensor.bfloat16)
    rough = _predictions(answered(subject.build().bfloat16(), narrow))
    loss = _share(exact == trial.labels) - _share(rough == trial.labels)
    return _share(exact != rough), loss


def _predictions(scores: Tensor) -> Tensor:
    """(episodes, queries, way) -> (episodes, queries)."""
    return scores.argmax(dim=-1)


def _share(these: Tensor) -> float:
    return float(these.double().mean())
