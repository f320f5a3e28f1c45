"""Several banks compared: their agreement, gaps, and which differences repeat."""

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from bench.comparison.across.agreement import FEWEST, Correlation, Side, kendall, spearman
from bench.comparison.frame import Comparison
from bench.comparison.summary import compare_on_one_bank
from bench.runs.by_method import MethodRuns
from bench.runs.run import Run
from bench.statistics import LEVEL, design_of, holm, measure
from episodes.banks.bank import Bank
from episodes.errors import UserError


@dataclass(frozen=True)
class Place:
    """All methods on one bank with one backbone."""

    title: str
    """The bank, and the backbone where there are several."""
    comparison: Comparison = field(repr=False)

    def of(self, method: str) -> int | None:
        """Index of a method in the comparison, best first; None if it is not there."""
        names = [named(one) for one in self.comparison.methods]
        return names.index(method) if method in names else None

    def side(self, methods: Sequence[str]) -> Side:
        """Accuracies of methods, all of which are in the comparison."""
        runs = self.comparison.methods
        chosen = [runs[index] for one in methods if (index := self.of(one)) is not None]
        bank = self.comparison.opened
        return Side(
            np.stack([one.episode_accuracy() for one in chosen], axis=1),
            None if bank is None else design_of(bank.split, bank.episodes),
            self.title if bank is None else bank.split.sha256,
        )


@dataclass(frozen=True)
class Agreement:
    """Agreement of two banks on the order of the methods that both have."""

    one: str
    other: str
    methods: int
    tau: Correlation
    """Kendall's tau-b."""
    rho: Correlation
    """Spearman's."""


@dataclass(frozen=True)
class Gap:
    """What the order of frames is worth on a bank: order-aware methods minus the others."""

    bank: str
    order_aware: int
    """Number of methods whose mean accuracy is taken."""
    order_blind: int
    gap: float
    """A fraction."""
    interval: tuple[float, float] | None
    """95%, over videos and classes; None where classes are not known."""


@dataclass(frozen=True)
class Standing:
    """A method's place on one bank. Ranks count from 1, the best."""

    accuracy: float
    best_rank: int
    worst_rank: int
    """Significantly better methods come before it, significantly worse ones after it; the ranks
    between are a simultaneous 95% interval for all methods of the bank."""


@dataclass(frozen=True)
class Pair:
    """Two methods, and the banks on which one is significantly better than the other."""

    first: str
    second: str
    first_better: tuple[str, ...]
    second_better: tuple[str, ...]


@dataclass(frozen=True)
class Across:
    """Everything about several banks."""

    places: Sequence[Place]
    agreements: Sequence[Agreement]
    gaps: Sequence[Gap]
    methods: Sequence[str]
    """Those that all banks have, controls and duplicates left out, by their mean rank."""
    duplicates: Mapping[str, str]
    """Method -> another one with the same answers on every bank, which represents both."""
    standings: Mapping[str, Mapping[str, Standing]]
    """By method and bank."""
    pairs: Sequence[Pair]

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "level": LEVEL,
            "banks": {place.title: place.comparison.units for place in self.places},
            "agreements": [asdict(one) for one in self.agreements],
            "duplicates": dict(self.duplicates),
            "gaps": [asdict(one) for one in self.gaps],
            "standings": {
                method: {bank: asdict(one) for bank, one in found.items()}
                for method, found in self.standings.items()
            },
            "pairs": [asdict(one) for one in self.pairs],
        }


def named(one: MethodRuns) -> str:
    """Name a method in the same way on every bank: by its name, and by whether it was trained."""
    training = one.training
    words = {True: "trained", False: "untrained", None: ""}[one.first.declared.trained]
    if training is not None:
        words = f"{training.backbone}, {training.recipe}"
    return f"{one.method} ({words})" if words else one.method


def across(runs: Sequence[Run], banks: Sequence[Bank] = ()) -> Across:
    """Compare several banks by the methods that were run on them.

    Args:
        runs: of the same methods on at least two banks, or with two backbones.
        banks: those that cannot be opened by their names.

    Raises:
        UserError: there is one bank, runs of one cannot be compared, or a method has several rows.
    """
    places = _places(runs, banks)
    if len(places) < 2:
        raise UserError(
            f"all runs are on {places[0].title}; name runs of the same methods on two banks or more"
        )
    for place in places:
        names = [named(one) for one in place.comparison.methods]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(
                f"{min(twice)} has several rows on {place.title}, of other frames or trainings;"
                " name the folders of one"
            )
    methods = [
        {named(one) for one in place.comparison.methods if not one.is_control} for place in places
    ]
    duplicates = _duplicates(places, sorted(set.union(*methods)))
    methods = [found - duplicates.keys() for found in methods]
    common = sorted(set.intersection(*methods))
    if not common:
        each = "; ".join(
            f"{place.title}: {', '.join(sorted(found)) or 'controls only'}"
            for place, found in zip(places, methods, strict=True)
        )
        raise UserError(
            f"no method was run everywhere ({each}); name runs of the same methods, or leave out"
            " the folder that has others"
        )
    standings = {place.title: _standings(place, common) for place in places}
    by_method = {
        method: {place.title: standings[place.title][0][method] for place in places}
        for method in common
    }
    ordered = sorted(common, key=lambda method: (_mean_rank(by_method, method), method))
    return Across(
        places=places,
        agreements=[
            _agreement(one, other, sorted(mine & theirs))
            for (one, mine), (other, theirs) in combinations(zip(places, methods, strict=True), 2)
            if len(mine & theirs) >= FEWEST
        ],
        gaps=[gap for place in places if (gap := _gap(place, common)) is not None],
        methods=ordered,
        duplicates=duplicates,
        standings={method: by_method[method] for method in ordered},
        pairs=_pairs(ordered, {title: found[1] for title, found in standings.items()}),
    )


def across_comparisons(comparisons: Sequence[Comparison]) -> Across:
    """Compare several banks whose methods have been compared; errors as for `across`."""
    methods = [one for found in comparisons for one in found.methods]
    banks = [found.opened for found in comparisons if found.opened is not None]
    return across([run for one in methods for run in one.runs], banks)


def _duplicates(places: Sequence[Place], methods: Sequence[str]) -> dict[str, str]:
    """Methods with the answers of another one on every bank -> the first such by name.

    A duplicate would have twice the weight in correlations and gaps.
    """
    first: dict[tuple[object, ...], str] = {}
    duplicates: dict[str, str] = {}
    for method in methods:
        answers = tuple(
            None
            if (index := place.of(method)) is None
            else tuple(
                run.rows["prediction"].to_numpy().tobytes()
                for run in place.comparison.methods[index].runs
            )
            for place in places
        )
        other = first.setdefault(answers, method)
        if other != method:
            duplicates[method] = other
    return duplicates


def _places(runs: Sequence[Run], banks: Sequence[Bank]) -> list[Place]:
    """Group runs by bank and backbone, in the order of their first runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        features = run.identity.features
        backbone = "" if features is None else features.backbone
        groups.setdefault((run.identity.bank, backbone), []).append(run)
    several = len({backbone for _, backbone in groups}) > 1
    return [
        Place(
            f"{bank}, {backbone}" if several and backbone else bank,
            compare_on_one_bank(found, None, banks),
        )
        for (bank, backbone), found in groups.items()
    ]


def _agreement(one: Place, other: Place, methods: Sequence[str]) -> Agreement:
    sides = one.side(methods), other.side(methods)
    return Agreement(one.title, other.title, len(methods), kendall(*sides), spearman(*sides))


def _gap(place: Place, methods: Collection[str]) -> Gap | None:
    """The mean of order-aware methods minus that of the others; None if there is only one kind."""
    aware: list[str] = []
    blind: list[str] = []
    for one in place.comparison.methods:
        order_aware = one.first.declared.order_aware
        if named(one) in methods and order_aware is not None:
            (aware if order_aware else blind).append(named(one))
    if not aware or not blind:
        return None
    side = place.side(aware)
    means = [found.values.mean(axis=1) for found in (side, place.side(blind))]
    variation = measure(np.stack(means, axis=1), side.design)
    estimate = variation.estimate("videos and classes", 0, minus=1)
    gap = float(variation.means[0] - variation.means[1])
    interval = None if estimate is None else estimate.interval()
    return Gap(place.title, len(aware), len(blind), gap, interval)


def _standings(
    place: Place, methods: Sequence[str]
) -> tuple[dict[str, Standing], set[tuple[str, str]]]:
    """Ranks on one bank, and the significant pairs: (better, worse).

    Significant after Holm's correction over all pairs of the bank, each judged over the widest
    kind of variation that both methods support; two that were trained once each are not judged.
    Ranks follow from that: Al Mohamad, Goeman and van Zwet, Biometrics 78, 2022.
    """
    index = {method: place.of(method) or 0 for method in methods}
    pairs = list(combinations(methods, 2))
    variation = place.comparison.variation
    kinds = [variation.widest(index[a], index[b]) for a, b in pairs]
    estimates = [
        None if kind is None else variation.estimate(kind, index[a], index[b])
        for kind, (a, b) in zip(kinds, pairs, strict=True)
    ]
    p_values = holm([math.nan if one is None else one.p_value for one in estimates])
    significant = {
        (a, b) if estimate.mean > 0 else (b, a)
        for (a, b), estimate, p_value in zip(pairs, estimates, p_values, strict=True)
        if estimate is not None and p_value < 1 - LEVEL
    }
    return {
        method: Standing(
            float(variation.means[index[method]]),
            1 + sum(worse == method for _, worse in significant),
            len(methods) - sum(better == method for better, _ in significant),
        )
        for method in methods
    }, significant


def _mean_rank(standings: Mapping[str, Mapping[str, Standing]], method: str) -> float:
    """Mean over banks of the rank by accuracy."""
    ranks = [
        sum(other[bank].accuracy > one.accuracy for other in standings.values())
        for bank, one in standings[method].items()
    ]
    return float(np.mean(ranks))


def _pairs(methods: Sequence[str], significant: Mapping[str, Set[tuple[str, str]]]) -> list[Pair]:
    return [
        Pair(
            a,
            b,
            tuple(bank for bank, pairs in significant.items() if (a, b) in pairs),
            tuple(bank for bank, pairs in significant.items() if (b, a) in pairs),
        )
        for a, b in combinations(methods, 2)
    ]
