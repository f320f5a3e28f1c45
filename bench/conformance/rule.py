"""What a rule is, what it examines, and when two sets of scores are the same."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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
"""Largest change of a score that counts as rounding, as a share of the scores' range.

One rounding of float32 is 6e-8. A sum in another order makes a few of them, and a method may
multiply them: matching-networks-fce by its factor of 100, relation-net by scores that hardly differ
before training. The worst of the shipped methods, on grids of 288 positions, stays below 3e-5.
"""
OFFSET = 1e-3
"""Share of the largest score that is added to the range: it stands for it where scores hardly
differ, as the rounding of a score of 1000 is that of 1000 and not that of a range of 0.01."""

BACKWARDS = (7, 6, 5, 4, 3, 2, 1, 0)
MIXED = (3, 0, 6, 1, 7, 4, 2, 5)


class Reordered(NamedTuple):
    """Scores of the same episodes with the frames of the queries in three orders.

    Each (episodes, queries, way).
    """

    forwards: Tensor
    backwards: Tensor
    mixed: Tensor


class MethodUnderTest:
    """A method under examination, and what several rules need of it, made once."""

    def __init__(self, entry: ConfiguredMethod) -> None:
        """Take the method as it is registered: its class with its settings."""
        self.entry = entry

    def __str__(self) -> str:
        """Name of the method."""
        return self.entry.name

    def build(self, shape: FeatureShape = SHAPE) -> Method:
        """Build the method anew, with the same parameters every time."""
        return self.entry.build(shape, seed=0)

    @cached_property
    def method(self) -> Method:
        """Return the method, built for the usual trial."""
        return self.build()

    @cached_property
    def trial(self) -> Trial:
        """Return the usual trial."""
        return make_trial(SHAPE)

    @cached_property
    def videos(self) -> Representation:
        """Representation of the trial's videos."""
        return encoded(self.method, self.trial)

    @cached_property
    def state(self) -> Any:
        """What the trial's support videos taught."""
        return adapted(self.method, self.videos, self.trial)

    @cached_property
    def scores(self) -> Tensor:
        """Scores of the trial, (episodes, queries, way)."""
        return self.score(self.trial)

    @cached_property
    def on_the_default_grid(self) -> Reordered:
        """Scores on the grid of the default backbone, in three orders of the queries' frames."""
        return self.reordered(GRID)

    def reordered(self, shape: FeatureShape) -> Reordered:
        """Score episodes of 5 classes and 10 queries, in three orders of the queries' frames."""
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
"""One line for each way in which a rule is broken, with numbers; none where it holds."""


@dataclass(frozen=True)
class Rule:
    """Something that holds for every method."""

    name: str
    words: str
    """What holds."""
    look: Callable[[MethodUnderTest], Breaches]

    def __str__(self) -> str:
        """Name of the rule, for tests that go through all of them."""
        return self.name

    def breaches(self, subject: MethodUnderTest) -> list[str]:
        """Say how a method breaks the rule; an error of the method is a breach, too."""
        try:
            return list(self.look(subject))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # one that exits is told of, and the others are examined
            return [f"it raises {type(error).__name__}: {' '.join(str(error).split())}"]


def rule(name: str) -> Callable[[Callable[[MethodUnderTest], Breaches]], Rule]:
    """Decorator: make a function a rule; the first line of its docstring says what holds."""
    return lambda look: Rule(name, (look.__doc__ or "").partition("\n")[0], look)


def change(found: Tensor, expected: Tensor) -> float:
    """Largest change of a score, as a share of the range of the expected ones.

    Both (episodes, queries, way), finite. 0 where all are equal, infinity where one is not finite.
    """
    found, expected = found.double(), expected.double()
    largest = float((found - expected).abs().max())
    if largest == 0:
        return 0.0
    spread = float(expected.max() - expected.min()) + OFFSET * float(expected.abs().max())
    share = largest / spread if spread else math.inf
    return share if math.isfinite(share) else math.inf


def unless_same(what: str, found: Tensor, expected: Tensor, most: float = ROUNDING) -> Breaches:
    """Yield a breach where scores differ by more than rounding.

    Args:
        what: was done to the episodes and should have changed nothing.
        found: (episodes, queries, way)
        expected: the same shape.
        most: largest share of the range by which scores may differ.
    """
    if found.shape != expected.shape:
        yield f"{what} makes scores of shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        return
    share = change(found, expected)
    if share > most:
        yield f"{what} changes scores by {share:.2g} of their range, more than {most:g}"
