"""The figures of runs, derived from their rows: what tables show and ``summary.json`` holds."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from bench.comparison.frame import Comparison, Declared, Interval, Row, Verdict, Versus
from bench.runs.by_method import MethodRuns, runs_by_method, titles
from bench.runs.checking import rebuilt
from bench.runs.directory import Run
from bench.runs.schema import Failure
from bench.statistics import (
    KINDS,
    LEVEL,
    PREDICTIONS,
    Design,
    Estimate,
    Kind,
    Prediction,
    StepDown,
    Units,
    Variation,
    design_of,
    letters,
    measure,
    pseudo_values,
    sign_flip_p_value,
    step_down,
    variance_shares,
)
from episodes.atomic import write_text
from episodes.banks.bank import Bank
from episodes.errors import UserError
from episodes.schema import Model, dump

Pair = tuple[str, str]
"""Methods, or titles of rows, whose difference is asked for: first minus second."""
SEEDS = re.compile(r", \d+ seeds")
"""What a title says of the number of trainings, which nobody must know to name it."""
DOMINANT = 0.5
"""Share of a variance above which one class carries it."""


def compare(
    runs: Sequence[Run],
    reference: str | None = None,
    banks: Sequence[Bank] = (),
    family: Sequence[Pair] = (),
    failures: Sequence[Failure] = (),
) -> list[Comparison]:
    """Compare runs, those on each bank among themselves.

    Args:
        runs: on one or several banks; each method once on a bank, or once for each training seed.
        reference: method the others are compared with, its untrained form if there are several;
            protonet or the first by name if None.
        banks: banks that cannot be rebuilt by their names.
        family: pairs of methods whose comparison was declared; every method with the reference,
            if there are none.
        failures: methods without rows, which stand with those of the same bank.

    Raises:
        UserError: runs of one bank differ in episodes or dtype, a method occurs twice, or the
            reference, or one of the family, is not among them.
    """
    by_bank: dict[str, list[Run]] = {}
    for run in runs:
        by_bank.setdefault(run.identity.bank, []).append(run)
    return [
        replace(
            compare_on_one_bank(found, reference, banks, family),
            failures=[one for one in failures if one.bank == bank],
        )
        for bank, found in by_bank.items()
    ]


def compare_on_one_bank(
    runs: Sequence[Run],
    reference: str | None = None,
    banks: Sequence[Bank] = (),
    family: Sequence[Pair] = (),
) -> Comparison:
    """Compare runs on one bank; arguments and errors as for `compare`."""
    found = runs_by_method(runs)
    values = np.stack([one.episode_accuracy() for one in found], axis=1)
    order = np.argsort(-values.mean(axis=0), kind="stable")
    found, values = [found[index] for index in order], values[:, order]
    names = titles(found)
    chosen = _choose(found, names, reference, "--reference")
    bank, problem = rebuilt(found[0].first, banks)
    design = None if bank is None else design_of(bank.split, bank.episodes)
    variation = measure(values, design, [one.trainings for one in found])
    pairs = [
        (_choose(found, names, one, "--family"), _choose(found, names, other, "--family"))
        for one, other in family
    ]
    figures = _Figures(found, names, values, variation, design, chosen, pairs)
    return Comparison(
        bank=runs[0].identity.bank,
        bank_sha256=runs[0].identity.bank_sha256,
        reference=names[chosen],
        rows=figures.rows(),
        declared=figures.declared(),
        comparisons=len(figures.family),
        pairs=len(figures.lettered) * (len(figures.lettered) - 1) // 2,
        base=variation.base,
        units=problem if bank is None or design is None else _describe(design, bank, variation),
        methods=found,
        variation=variation,
        opened=bank,
    )


def _choose(
    found: Sequence[MethodRuns], names: Sequence[str], wanted: str | None, option: str
) -> int:
    """Which row is meant: of several of a method the one that was not trained."""
    methods = sorted({one.method for one in found})
    wanted = next((name for name in names if wanted == SEEDS.sub("", name)), wanted)
    if wanted is not None and wanted not in {*methods, *names}:
        raise UserError(
            f"{option} {wanted!r} is not among the runs; there are: {', '.join(sorted(names))}"
        )
    name = wanted or ("protonet" if "protonet" in methods else methods[0])
    fitting = [i for i, one in enumerate(found) if name in {one.method, names[i]}]
    return min(
        fitting,
        key=lambda i: (names[i] != name, bool(found[i].first.declared.trained), names[i]),
    )


def _describe(design: Design, bank: Bank, variation: Variation) -> str:
    """The units, and what their number or place leaves unknown."""
    units = (
        f"{len(design.classes)} {design.classes.kind}, {len(design.videos)} {design.videos.kind}"
    )
    in_all = f"{len(bank.split.classes)} classes, {len(bank.split.videos)} videos"
    said = units if units == in_all else f"{units} ({in_all})"
    if variation.base == "videos and classes":
        return said
    why = "every episode shows all of them" if design.classes.always_shown else "there is one"
    if variation.base == "videos":
        return f"{said}; classes cannot vary ({why}), so that videos decide"
    return f"{said}; neither classes nor videos can vary, so that nothing is decided"


@dataclass(frozen=True)
class _Figures:
    """What rows are made of."""

    found: Sequence[MethodRuns]
    titles: Sequence[str]
    values: np.ndarray
    """(episodes, methods) accuracies."""
    variation: Variation
    design: Design | None
    reference: int
    pairs: Sequence[tuple[int, int]]
    """Those that were declared."""

    def rows(self) -> list[Row]:
        groups = self._groups()
        return [self._row(index, groups.get(index, ())) for index in range(len(self.found))]

    def declared(self) -> list[Declared]:
        return [
            Declared(
                method=self.titles[one],
                against=self.titles[other],
                **vars(self._versus(one, other)),
            )
            for one, other in self.pairs
        ]

    @cached_property
    def first_alike(self) -> list[int]:
        """For each method the first that was trained as often and answers every query alike."""
        first: dict[tuple[object, ...], int] = {}
        answers = [
            (
                one.trainings is None,
                *sorted(hash(run.rows["prediction"].to_numpy().tobytes()) for run in one.runs),
            )
            for one in self.found
        ]
        for index in (self.reference, *range(len(answers))):
            first.setdefault(answers[index], index)
        return [first[one] for one in answers]

    @cached_property
    def family(self) -> dict[tuple[int, int], StepDown]:
        """Pair -> its correction, a family of one of those; only pairs that may be decided."""
        pairs = self.pairs or [
            (index, self.reference)
            for index in range(len(self.found))
            if index != self.reference and self.first_alike[index] == index
        ]
        pairs = [pair for pair in pairs if self._may_decide(*pair)]
        corrected = self._corrected(pairs)
        return {
            pair: StepDown([p_value], corrected.threshold)
            for pair, p_value in zip(pairs, corrected.p_values, strict=True)
        }

    def _may_decide(self, one: int, other: int) -> bool:
        apart = self._undecidable(one, other) in ("control", "names")
        return not apart and self.variation.widest(one, other) is not None

    def _corrected(self, pairs: Sequence[tuple[int, int]]) -> StepDown:
        p_values = [math.nan if (e := self._decisive(*p)) is None else e.p_value for p in pairs]
        loadings = self.variation.loadings
        moved = [loadings[one] - loadings[other] for one, other in pairs]
        degrees = self.variation.degrees[self.variation.base or "episodes"]
        return step_down(p_values, np.array(moved), degrees, LEVEL)

    def _decisive(self, one: int, other: int) -> Estimate | None:
        """The difference of two methods over the widest kind that both support."""
        kind = self.variation.widest(one, other)
        return None if kind is None else self.variation.estimate(kind, one, other)

    @cached_property
    def lettered(self) -> list[int]:
        """Methods that have letters: none where a family was declared, which says what counts.

        Not controls, and not those of which nothing is known but one training.
        """
        return [
            index
            for index, one in enumerate(self.found)
            if not self.pairs
            and not one.is_control
            and one.reads_names == self.found[self.reference].reads_names
            and self.first_alike[index] == index
            and self.variation.base is not None
            and (one.trainings is None or len(one.trainings.means) > 1)
        ]

    def _groups(self) -> dict[int, tuple[str, ...]]:
        """Letters, after correction over all pairs of those that have some."""
        number = len(self.lettered)
        pairs = [(a, b) for a in range(number) for b in range(a)]
        different = np.zeros((number, number), dtype=bool)
        if pairs:
            named = [(self.lettered[a], self.lettered[b]) for a, b in pairs]
            p_values = self._corrected(named).p_values
            for (a, b), p_value in zip(pairs, p_values, strict=True):
                different[a, b] = different[b, a] = p_value < 1 - LEVEL
        found = dict(zip(self.lettered, letters(different), strict=True)) if number else {}
        return {
            index: found[first] for index, first in enumerate(self.first_alike) if first in found
        }

    def _versus(self, one: int, other: int) -> Versus:
        """All that is known of a difference."""
        estimates = self._estimates(one, other)
        difference = estimates["episodes"]
        kind, tested = self.variation.widest(one, other), self._decisive(one, other)
        known = Versus(
            difference=difference.mean,
            difference_interval=difference.interval(),
            difference_intervals={kind: each.interval() for kind, each in estimates.items()},
            difference_predictions={
                what: each.interval() for what, each in self._predicted(one, other).items()
            },
            verdict=self._undecidable(one, other),
        )
        if tested is None:
            return known
        known = replace(
            known,
            decided_over=kind,
            p_value=tested.p_value,
            p_value_sign_flip=self._sign_flip_p_value(one, other),
            probability_better=tested.probability_positive,
            dominated_by=self._dominated_by(one, other),
        )
        alike = self.first_alike[one], self.first_alike[other]
        correction = self.family.get((one, other)) or self.family.get(alike)
        if known.verdict or correction is None:
            return known
        p_value = correction.p_values[0]
        told = p_value < 1 - LEVEL
        return replace(
            known,
            p_value_corrected=p_value,
            smallest=None if told else tested.half_width(1 - correction.threshold),
            verdict=("better" if tested.mean > 0 else "worse") if told else "undecided",
        )

    def _undecidable(self, one: int, other: int) -> Verdict:
        """Why there is no verdict, as far as it is not a matter of the family."""
        if self.found[one].is_control or self.found[other].is_control:
            return "control"
        # A method that is told the names answers another question, unless somebody asks for both.
        if not self.pairs and self.found[one].reads_names != self.found[other].reads_names:
            return "names"
        if self.first_alike[one] == self.first_alike[other]:
            return "same answers"
        if self.variation.base is not None and self.variation.widest(one, other) is None:
            return "1 seed"
        return ""

    def _sign_flip_p_value(self, one: int, other: int) -> float | None:
        units = self._deciding_units
        if units is None:
            return None
        return sign_flip_p_value(pseudo_values(self.values[:, one] - self.values[:, other], units))

    def _dominated_by(self, one: int, other: int) -> str | None:
        units = self._deciding_units
        if units is None or not units.names:
            return None
        shares = variance_shares(self.values[:, one] - self.values[:, other], units)
        largest = int(np.argmax(shares))
        return units.names[largest] if shares[largest] > DOMINANT else None

    @property
    def _deciding_units(self) -> Units | None:
        if self.design is None or self.variation.base is None:
            return None
        return self.design.videos if self.variation.base == "videos" else self.design.classes

    def _row(self, index: int, group: tuple[str, ...]) -> Row:
        accuracies = self._estimates(index, None)
        versus = Versus() if index == self.reference else self._versus(index, self.reference)
        made = {one.name: one.metadata["of"] for one in fields(Row) if one.metadata}
        return Row(
            **vars(versus),
            **{name: of(self.found[index]) for name, of in made.items()},
            title=self.titles[index],
            same_as=self._same_as(index),
            accuracy=accuracies["episodes"].mean,
            interval=_of_fraction(accuracies)["episodes"],
            intervals=_of_fraction(accuracies),
            predictions={
                what: each.interval_of_fraction()
                for what, each in self._predicted(index, None).items()
            },
            group=group,
        )

    def _same_as(self, index: int) -> str | None:
        first = self.first_alike[index]
        return None if first == index else self.titles[first]

    def _estimates(self, index: int, minus: int | None) -> dict[Kind, Estimate]:
        found = {kind: self.variation.estimate(kind, index, minus) for kind in KINDS}
        return {kind: one for kind, one in found.items() if one is not None}

    def _predicted(self, index: int, minus: int | None) -> dict[Prediction, Estimate]:
        found = {what: self.variation.predict(what, index, minus) for what in PREDICTIONS}
        return {what: one for what, one in found.items() if one is not None}


def _of_fraction(estimates: Mapping[Kind, Estimate]) -> dict[Kind, Interval]:
    """Intervals of accuracies: symmetric over episodes, as the convention has it, inside 0 to 1."""
    found: dict[Kind, Interval] = {}
    for kind, one in estimates.items():
        if kind == "episodes" and 0 < one.mean < 1:
            found[kind] = one.interval()
        elif "classes" in kind:
            found[kind] = one.interval_over_classes()
        else:
            found[kind] = one.interval_of_fraction()
    return found


class NoRows(Model):
    """A method that failed."""

    method: str
    """Its name."""
    reason: str
    """The message."""


class Summary(Model):
    """``summary.json``: derived figures of the runs on a bank."""

    bank: str
    """The bank's title."""
    bank_sha256: str
    """Hash of its episodes."""
    interval_over: Literal["episodes"]
    """What varies in ``interval``."""
    level: float
    """Coverage of the intervals."""
    reference: str
    """Title of the row with which the others are compared."""
    comparisons: int
    """Size of the family for which p-values are corrected."""
    pairs: int
    """Pairs that letters tell apart."""
    units: str
    """Classes and videos, or why they are not known."""
    declared: list[Declared]
    """Comparisons of a declared family."""
    rows: list[Row]
    """Best accuracy first."""
    failed: list[NoRows]
    """Methods without rows."""


def write_summary(folder: Path, comparison: Comparison) -> None:
    """Write ``summary.json``: derived figures, which may be deleted and made again."""
    write_text(folder / "summary.json", dump(comparison.content()))
