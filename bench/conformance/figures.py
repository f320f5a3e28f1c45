"""Figures of a method that are worth knowing and break no rule."""

from typing import NamedTuple

from bench.conformance.rule import Reordered, Subject
from bench.conformance.trial import VECTORS


class Figures(NamedTuple):
    """Fractions of predictions, before training, on made-up episodes."""

    reversal_changes: float
    """Other than before once the queries' frames are reversed, on the grid of the default
    backbone."""
    reversal_changes_on_vectors: float
    """The same where there is one vector a frame."""


def figures(subject: Subject) -> Figures:
    """Compute the figures of a method that keeps all rules."""
    return Figures(
        _reversal_changes(subject.on_the_default_grid),
        _reversal_changes(subject.reordered(VECTORS)),
    )


def _reversal_changes(scores: Reordered) -> float:
    changed = scores.forwards.argmax(dim=-1) != scores.backwards.argmax(dim=-1)
    return float(changed.double().mean())
