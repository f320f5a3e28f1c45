"""Several banks compared: their agreement, gaps, and differences that hold on several."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from bench.comparison.across.agreement import FEWEST, Correlation, Side, kendall, spearman
from bench.comparison.frame import Comparison
from bench.comparison.summary import compare_on_one_bank
from bench.runs.by_method import MethodRuns, check_one_backbone
from bench.runs.run import Run
from bench.statistics import LEVEL, design_of, holm, measure
from episodes.banks.bank import Bank
from episodes.errors import UserError


@dataclass(frozen=True)
class BankResults:
    """All methods on one bank with one backbone."""

    title: str
    """The bank, and the backbone where there are several."""
    comparison: Comparison = field(repr=False)
    order: Mapping[str, int] = field(repr=False)
    """Name of each method, as `named` gives it -> its index in the comparison, best first."""

    def of(self, method: str) -> MethodRuns | None:
        """Return the runs of a method; None if it was not run here."""
        return self.comparison.methods[self.order[method]] if method in self.order else None

    def side(self, methods: Sequence[str]) -> Side:
        """Accuracies of methods, all of which were run here."""
        chosen = [self.comparison.methods[self.order[one]].episode_accuracy() for one in methods]
        bank = self.comparison.opened
        return Side(
            np.stack(chosen, axis=1),
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
    """The gain from the order of frames on a bank: order-aware methods minus the others."""

    bank: str
    order_aware: int
    """Number of methods that the mean accuracy is over."""
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
class PairOnBanks:
    """Two methods, and the banks on which one is significantly better than the other."""

    first: str
    second: str
    first_better: tuple[str, ...]
    second_better: tuple[str, ...]


@dataclass(frozen=True)
class Across:
    """Everything about several banks."""

    places: Sequence[BankResults]
    agreements: Sequence[Agreement]
    gaps: Sequence[Gap]
    duplicates: Mapping[str, str]
    """Method -> another one with the same answers on every bank, which represents both."""
    standings: Mapping[str, Mapping[str, Standing]]
    """By method, those of the lowest mean rank first, and by bank."""
    pairs: Sequence[PairOnBanks]

    @property
    def methods(self) -> list[str]:
        """Methods that all banks have, controls and duplicates left out, by their mean rank."""
        return list(self.standings)

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
    """Name a method in the same way on every bank: by its name and how it was trained."""
    how = {True: "trained", False: "untrained", None: ""}[one.first.declared.trained]
    if one.training is not None:
        how = f"{one.training.backbone}, {one.training.recipe}"
    return f"{one.method} ({how})" if how else one.method


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
    methods = [
        {named(method) for method in place.comparison.methods if not method.is_control}
        for place in places
    ]
    duplicates = _duplicates(places, sorted(set.union(*methods)))
    methods = [names - duplicates.keys() for names in methods]
    common = sorted(set.intersection(*methods))
    if not common:
        raise UserError(
            f"no method was run on all of {', '.join(place.title for place in places)}; name runs"
            " of the same methods, or leave out the folder that has others"
        )
    agreements = []
    for (one, mine), (other, theirs) in combinations(zip(places, methods, strict=True), 2):
        shared = sorted(mine & theirs)
        if len(shared) >= FEWEST:
            sides = one.side(shared), other.side(shared)
            tau, rho = kendall(*sides), spearman(*sides)
            agreements.append(Agreement(one.title, other.title, len(shared), tau, rho))
    ranked = {place.title: _standings(place, common) for place in places}

    def sum_of_ranks(method: str) -> int:
        return sum(
            other.accuracy > standings[method].accuracy
            for standings, _ in ranked.values()
            for other in standings.values()
        )

    ordered = sorted(common, key=lambda method: (sum_of_ranks(method), method))
    return Across(
        places=places,
        agreements=agreements,
        gaps=[gap for place in places if (gap := _gap(place, common)) is not None],
        duplicates=duplicates,
        standings={
            method: {bank: standings[method] for bank, (standings, _) in ranked.items()}
            for method in ordered
        },
        pairs=[
            PairOnBanks(
                a,
                b,
                tuple(bank for bank, (_, pairs) in ranked.items() if (a, b) in pairs),
                tuple(bank for bank, (_, pairs) in ranked.items() if (b, a) in pairs),
            )
            for a, b in combinations(ordered, 2)
        ],
    )


def across_comparisons(comparisons: Sequence[Comparison]) -> Across:
    """Compare several banks whose methods have been compared; errors as for `across`."""
    methods = [one for found in comparisons for one in found.methods]
    banks = [found.opened for found in comparisons if found.opened is not None]
    return across([run for one in methods for run in one.runs], banks)


def _duplicates(places: Sequence[BankResults], methods: Sequence[str]) -> dict[str, str]:
    """Methods with the answers of another one on every bank -> the first such by name.

    A duplicate would have twice the weight in correlations and gaps.
    """
    first: dict[tuple[object, ...], str] = {}
    duplicates: dict[str, str] = {}
    for method in methods:
        answers = tuple(
            one and tuple(run.rows["prediction"].to_numpy().tobytes() for run in one.runs)
            for one in (place.of(method) for place in places)
        )
        other = first.setdefault(answers, method)
        if other != method:
            duplicates[method] = other
    return duplicates


def _places(runs: Sequence[Run], banks: Sequence[Bank]) -> list[BankResults]:
    """Group runs by bank and backbone, in the order of their first runs."""
    check_one_backbone(runs)
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        features = run.identity.features
        backbone = "" if features is None else features.backbone
        groups.setdefault((run.identity.bank, backbone), []).append(run)
    several = len({backbone for _, backbone in groups}) > 1
    places = []
    for (bank, backbone), in_place in groups.items():
        title = f"{bank}, {backbone}" if several and backbone else bank
        comparison = compare_on_one_bank(in_place, None, banks)
        order: dict[str, int] = {}
        for index, one in enumerate(comparison.methods):
            if order.setdefault(named(one), index) != index:
                raise UserError(
                    f"{named(one)} has several rows on {title}, of other frames or trainings; name"
                    " the folders of one"
                )
        places.append(BankResults(title, comparison, order))
    return places


def _gap(place: BankResults, methods: Collection[str]) -> Gap | None:
    """The mean of order-aware methods minus that of the others; None if there is only one kind."""
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for method in methods:
        one = place.of(method)
        if one is not None and (aware := one.first.declared.order_aware) is not None:
            kinds[aware].append(method)
    if not all(kinds.values()):
        return None
    sides = [place.side(kinds[aware]) for aware in (True, False)]
    means = np.stack([side.values.mean(axis=1) for side in sides], axis=1)
    variation = measure(means, sides[0].design)
    estimate = variation.estimate("videos and classes", 0, minus=1)
    return Gap(
        place.title,
        len(kinds[True]),
        len(kinds[False]),
        float(variation.means[0] - variation.means[1]),
        None if estimate is None else estimate.interval(),
    )


def _standings(
    place: BankResults, methods: Sequence[str]
) -> tuple[dict[str, Standing], set[tuple[str, str]]]:
    """Ranks on one bank, and the significant pairs: (better, worse).

    Significant after Holm's correction over all pairs of the bank, each judged over the widest
    kind of variation that both methods support; two that were trained once each are not judged,
    nor one that reads names against one that does not.
    Ranks follow from that: Al Mohamad, Goeman and van Zwet, Biometrics 78, 2022.
    """
    index, variation = place.order, place.comparison.variation
    pairs = list(combinations(methods, 2))
    reads_names = [one.reads_names for one in place.comparison.methods]
    kinds = [
        variation.widest(index[a], index[b])
        if reads_names[index[a]] == reads_names[index[b]]
        else None
        for a, b in pairs
    ]
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
