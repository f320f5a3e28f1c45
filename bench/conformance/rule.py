"""Rules, the method that they examine, and the comparison of scores."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from bench.conformance.trial import (
    GRID,
    SHAPE,
    Trial,
    adapted,
    answered,
    encoded,
    make_trial,
    scored,
    with_frames,
)
from bench.method import ConfiguredMethod, FeatureShape, Method, Representation

ROUNDING = 1e-4
"""Largest change of a score that counts as rounding, as a fraction of the range of the scores.

One rounding of float32 is 6e-8. Summing in another order adds a few of them, and a method may
amplify them: matching-networks-fce by its factor of 100, relation-net because its scores hardly
differ before training. The worst shipped method, on grids of 288 positions, stays below 3e-5.
"""
OFFSET = 1e-3
"""Fraction of the largest score that is added to the range, for scores that hardly differ: the
rounding of a score of 1000 is relative to 1000, not to a range of 0.01."""

BACKWARDS = (7, 6, 5, 4, 3, 2, 1, 0)
MIXED = (3, 0, 6, 1, 7, 4, 2, 5)


class Reordered(NamedTuple):
    """Scores, each (episodes, queries, way), with the query frames in three orders."""

    forwards: Tensor
    backwards: Tensor
    mixed: Tensor


class MethodUnderTest:
    """A method under examination, with intermediate results that several rules share."""

    def __init__(self, entry: ConfiguredMethod) -> None:
        """Examine a method as it is registered: a class with settings."""
        self.entry = entry

    def __str__(self) -> str:
        """Name of the method."""
        return self.entry.name

    def build(self, shape: FeatureShape = SHAPE) -> Method:
        """Build a new instance of the method, with the same parameters every time."""
        return self.entry.build(shape, seed=0)

    @cached_property
    def method(self) -> Method:
        """The method, built for the standard trial."""
        return self.build()

    @cached_property
    def trial(self) -> Trial:
        """The standard trial."""
        return make_trial(SHAPE)

    @cached_property
    def videos(self) -> Representation:
        """Representation of the trial's videos."""
        return encoded(self.method, self.trial)

    @cached_property
    def state(self) -> Any:
        """The state that the method derives from the trial's support videos."""
        return adapted(self.method, self.videos, self.trial)

    @cached_property
    def scores(self) -> Tensor:
        """Scores of the trial, (episodes, queries, way)."""
        return self.score(self.trial)

    @cached_property
    def on_the_default_grid(self) -> Reordered:
        """Scores on the grid of the default backbone, with the query frames in three orders."""
        return self.reordered(GRID)

    def reordered(self, shape: FeatureShape) -> Reordered:
        """Score 5-way episodes of 10 queries, with the query frames in three orders."""
        method = self.build(shape)
        trial = make_trial(shape, episodes=4, way=5, shot=1, queries=10)
        return Reordered(
            answered(method, trial),
            answered(method, trial.with_queries(with_frames(BACKWARDS))),
            answered(method, trial.with_queries(with_frames(MIXED))),
        )

    def score(self, trial: Trial) -> Tensor:
        """Score episodes of the trial's videos, (episodes, queries, way)."""
        return scored(self.method, self.videos, trial)


Breaches = Iterator[str]
"""One line for each way in which a rule is broken, with numbers; none if the rule holds."""


class Breach(NamedTuple):
    """A way in which a rule is broken."""

    rule: str
    words: str


Subject = TypeVar("Subject")


def breaches_of(look: Callable[[Subject], Breaches], subject: Subject) -> list[str]:
    """Say how a subject breaks a rule; any error that it raises counts as a breach."""
    try:
        return list(look(subject))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # even if it tries to exit, the others are examined
        return [f"it raises {type(error).__name__}: {' '.join(str(error).split())}"]


@dataclass(frozen=True)
class Rule:
    """A property that holds for every method: a decorator for the function that lists violations.

    The docstring of that function says what holds.
    """

    look: Callable[[MethodUnderTest], Breaches]

    @property
    def name(self) -> str:
        """Name of the function, with hyphens."""
        return self.look.__name__.replace("_", "-")

    def __str__(self) -> str:
        """Return the name of the rule, which labels parametrised tests."""
        return self.name

    def breaches(self, subject: MethodUnderTest) -> list[str]:
        """Say how a method breaks the rule; any error that it raises counts as a breach."""
        return breaches_of(self.look, subject)


def change(found: Tensor, expected: Tensor) -> float:
    """Largest change of a score, as a fraction of the range of the expected scores.

    Both are (episodes, queries, way). Infinity if a score is not finite.
    """
    found, expected = found.double(), expected.double()
    largest = float((found - expected).abs().max())
    if largest == 0:
        return 0.0
    spread = float(expected.max() - expected.min()) + OFFSET * float(expected.abs().max())
    share = largest / spread if spread else math.inf
    return share if math.isfinite(share) else math.inf


def unless_same(what: str, found: Tensor, expected: Tensor, most: float = ROUNDING) -> Breaches:
    """Yield a breach if scores, (episodes, queries, way), differ by more than rounding.

    ``what`` is the change to the episodes, in words; ``most`` is a fraction of the expected range.
    """
    if found.shape != expected.shape:
        yield f"{what} gives scores of shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        return
    share = change(found, expected)
    if share > most:
        yield f"{what} changes scores by {share:.2g} of their range, more than {most:g}"
