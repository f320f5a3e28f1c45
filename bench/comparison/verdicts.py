"""Paired differences between the methods of a comparison, and what they amount to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.comparison.row import Verdict, Versus
from bench.runs.by_method import MethodRuns
from bench.statistics import (
    LEVEL,
    Design,
    Estimate,
    StepDown,
    Variation,
    letters,
    pseudo_values,
    sign_flip_p_value,
    step_down,
    variance_shares,
)

DOMINANT = 0.5
"""Share of the variance of a difference above which a class dominates it."""
IndexPair = tuple[int, int]
"""Two methods, by index: first minus second."""


@dataclass(frozen=True)
class Differences:
    """The differences between methods on one bank. Methods are named by their index."""

    methods: Sequence[MethodRuns]
    """Best accuracy first."""
    values: np.ndarray
    """(episodes, methods) accuracies."""
    variation: Variation
    design: Design | None
    """None where classes are unknown."""
    reference: int
    declared: Sequence[IndexPair]
    """Comparisons that were declared; all with the reference if there are none."""

    @cached_property
    def answers(self) -> list[list[int]]:
        """For each method, a hash of its answers after each training."""
        return [
            sorted(hash(run.rows["prediction"].to_numpy().tobytes()) for run in one.runs)
            for one in self.methods
        ]

    @cached_property
    def first_alike(self) -> list[int]:
        """For each method, the first with as many trainings and the same answer to every query.

        Controls, and methods that read names if the reference does not, stand for none of the
        others, whose verdict they would take away.
        """
        first: dict[tuple[object, ...], int] = {}
        alike = [
            (one.trainings is None, *answers)
            for one, answers in zip(self.methods, self.answers, strict=True)
        ]
        judged_first = sorted(
            range(len(alike)), key=lambda index: self._unfit(index, self.reference) != ""
        )
        for index in (self.reference, *judged_first):
            first.setdefault(alike[index], index)
        return [first[one] for one in alike]

    @cached_property
    def family(self) -> Mapping[IndexPair, tuple[float, float]]:
        """Pairs that may be decided -> corrected p-value, and threshold of uncorrected ones."""
        wanted = self.declared or [
            (index, self.reference)
            for index, first in enumerate(self.first_alike)
            if index == first and self.answers[index] != self.answers[self.reference]
        ]
        pairs = [
            pair
            for pair in wanted
            if not self._unfit(*pair) and self.variation.widest(*pair) is not None
        ]
        found = self._corrected(pairs)
        return {pair: (p, found.threshold) for pair, p in zip(pairs, found.p_values, strict=True)}

    @cached_property
    def lettered(self) -> list[int]:
        """Methods that have letters; none where a family was declared, which says what counts.

        Controls, duplicates and methods that were trained only once have none either.
        """
        return [
            index
            for index, one in enumerate(self.methods)
            if not self.declared
            and not one.is_control
            and one.reads_names == self.methods[self.reference].reads_names
            and self.first_alike[index] == index
            and self.variation.base is not None
            and (one.trainings is None or len(one.trainings.means) > 1)
        ]

    @cached_property
    def lettered_pairs(self) -> list[IndexPair]:
        """All pairs of methods with letters; letters are corrected for their number."""
        return [(one, other) for a, one in enumerate(self.lettered) for other in self.lettered[:a]]

    @cached_property
    def groups(self) -> dict[int, tuple[str, ...]]:
        """Methods with letters, duplicates included -> their letters."""
        different = np.zeros((len(self.methods), len(self.methods)), dtype=bool)
        p_values = self._corrected(self.lettered_pairs, threshold=False).p_values
        for (one, other), p_value in zip(self.lettered_pairs, p_values, strict=True):
            different[one, other] = different[other, one] = p_value < 1 - LEVEL
        chosen = letters(different[np.ix_(self.lettered, self.lettered)])
        of_first = dict(zip(self.lettered, chosen, strict=True))
        alike = enumerate(self.first_alike)
        return {
            index: of_first[first]
            for index, first in alike
            if first in of_first and not self.methods[index].is_control
        }

    def versus(self, one: int, other: int) -> Versus:
        """Return everything about the difference of two methods, first minus second."""
        estimates = self.variation.estimates(one, other)
        predictions = self.variation.predictions(one, other)
        kind, tested = self.variation.widest(one, other), self._decisive(one, other)
        known = Versus(
            difference=estimates["episodes"].mean,
            difference_interval=estimates["episodes"].interval(),
            difference_intervals={kind: each.interval() for kind, each in estimates.items()},
            difference_predictions={what: each.interval() for what, each in predictions.items()},
            verdict=self._undecidable(one, other),
        )
        if tested is None:
            return known
        known = replace(
            known,
            decided_over=kind,
            p_value=tested.p_value,
            probability_better=tested.probability_positive,
        )
        if self.design is not None:
            difference = self.values[:, one] - self.values[:, other]
            over_videos = self.variation.base == "videos"
            units = self.design.videos if over_videos else self.design.classes
            shares = variance_shares(difference, units)
            largest = int(np.argmax(shares))
            dominates = not over_videos and shares[largest] > DOMINANT
            known = replace(
                known,
                p_value_sign_flip=sign_flip_p_value(pseudo_values(difference, units)),
                dominated_by=units.names[largest] if dominates else None,
            )
        alike = self.first_alike[one], self.first_alike[other]
        correction = self.family.get((one, other)) or self.family.get(alike)
        if known.verdict or correction is None:
            return known
        p_value, threshold = correction
        significant = p_value < 1 - LEVEL
        return replace(
            known,
            p_value_corrected=p_value,
            smallest=None if significant else tested.half_width(1 - threshold) or None,
            verdict=("better" if tested.mean > 0 else "worse") if significant else "undecided",
        )

    def _unfit(self, one: int, other: int) -> Verdict:
        """Return why two methods have no part in a family; empty if they can have."""
        first, second = self.methods[one], self.methods[other]
        if first.is_control or second.is_control:
            return "control"
        # A method that reads names solves another task, unless a family asks for the comparison.
        if not self.declared and first.reads_names != second.reads_names:
            return "names"
        return ""

    def _undecidable(self, one: int, other: int) -> Verdict:
        """Return why there can be no verdict; empty if there can."""
        if unfit := self._unfit(one, other):
            return unfit
        if self.answers[one] == self.answers[other]:
            return "same answers"
        if self.variation.base is not None and self.variation.widest(one, other) is None:
            return "1 seed"
        return ""

    def _corrected(self, pairs: Sequence[IndexPair], threshold: bool = True) -> StepDown:
        if not pairs:  # a single episode has no covariances to take apart
            return StepDown([], 1 - LEVEL)
        tested = [self._decisive(*pair) for pair in pairs]
        loadings = self.variation.loadings
        return step_down(
            [math.nan if one is None else one.p_value for one in tested],
            np.array([loadings[one] - loadings[other] for one, other in pairs]),
            self.variation.degrees[self.variation.base or "episodes"],
            LEVEL,
            threshold=threshold,
        )

    def _decisive(self, one: int, other: int) -> Estimate | None:
        """The difference of two methods over the widest kind that both support."""
        kind = self.variation.widest(one, other)
        return None if kind is None else self.variation.estimate(kind, one, other)
