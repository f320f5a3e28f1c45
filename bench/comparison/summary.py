"""The figures of runs, computed from their rows: what tables show and ``summary.json`` holds."""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from bench.comparison.frame import Comparison
from bench.comparison.row import DeclaredComparison, Interval, Row, Versus
from bench.comparison.verdicts import Differences
from bench.runs.by_method import MethodRuns, check_one_backbone, runs_by_method, titles
from bench.runs.checking import rebuilt
from bench.runs.run import Run
from bench.runs.schema import Failure
from bench.statistics import Design, Estimate, Kind, Variation, design_of, measure
from episodes.atomic import write_text
from episodes.banks.bank import Bank
from episodes.errors import UserError
from episodes.schema import Model, dump

Pair = tuple[str, str]
"""Two methods, or titles of rows, to compare: first minus second."""


class Family(Model):
    """The file of ``--family``: the comparisons that a study declared before it was run."""

    comparisons: list[Pair] = Field(min_length=1)
    """Pairs of methods, or of titles as `fvbench compare` prints them."""

    @field_validator("comparisons")
    @classmethod
    def _of_two(cls, pairs: list[Pair]) -> list[Pair]:
        if same := [one for one, other in pairs if one == other]:
            raise ValueError(f"{same[0]} is compared with itself")
        return pairs


SEEDS = re.compile(r", \d+ seeds")
"""The number of trainings in a title, which users need not type."""


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
        reference: method that the others are compared with, its untrained form if there are
            several; by default protonet, or else the first by name.
        banks: banks that cannot be rebuilt by their names.
        family: pairs of methods whose comparison was declared; by default, every method is compared
            with the reference.
        failures: methods without rows; each belongs to the comparison of its bank.

    Raises:
        UserError: runs of a bank differ in episodes or dtype, runs in the weights of a backbone, a
            method occurs twice, or the reference or a method of the family is missing.
    """
    check_one_backbone(runs)
    by_bank: dict[str, list[Run]] = {}
    for run in runs:
        by_bank.setdefault(run.identity.bank, []).append(run)
    return [
        replace(
            compare_on_one_bank(on_bank, reference, banks, family),
            failures=[failure for failure in failures if failure.bank == bank],
        )
        for bank, on_bank in by_bank.items()
    ]


def compare_on_one_bank(
    runs: Sequence[Run],
    reference: str | None = None,
    banks: Sequence[Bank] = (),
    family: Sequence[Pair] = (),
) -> Comparison:
    """Compare runs on one bank; arguments and errors as for `compare`."""
    methods = runs_by_method(runs)
    values = np.stack([method.episode_accuracy() for method in methods], axis=1)
    order = np.argsort(-values.mean(axis=0), kind="stable")
    methods, values = [methods[index] for index in order], values[:, order]
    names = titles(methods)
    chosen = _choose(methods, names, reference, "--reference")
    bank, problem = rebuilt(methods[0].first, banks)
    design = None if bank is None else design_of(bank.split, bank.episodes)
    variation = measure(values, design, [method.trainings for method in methods])
    declared = [
        (_choose(methods, names, one, "--family"), _choose(methods, names, other, "--family"))
        for one, other in family
    ]
    differences = Differences(methods, values, variation, design, chosen, declared)
    return Comparison(
        bank=runs[0].identity.bank,
        bank_sha256=runs[0].identity.bank_sha256,
        reference=names[chosen],
        rows=[
            _row(differences, index, names[index], None if first == index else names[first])
            for index, first in enumerate(differences.first_alike)
        ],
        declared=[
            DeclaredComparison(
                method=names[one], against=names[other], **vars(differences.versus(one, other))
            )
            for one, other in declared
        ],
        comparisons=len(differences.family),
        pairs=len(differences.lettered_pairs),
        base=variation.base,
        units=problem if bank is None or design is None else _describe(design, bank, variation),
        methods=methods,
        variation=variation,
        opened=bank,
    )


def _choose(
    methods: Sequence[MethodRuns], names: Sequence[str], wanted: str | None, option: str
) -> int:
    """Index of the row that is meant: of several rows of a method, one made here and untrained."""
    known = sorted({method.method for method in methods})
    wanted = next((name for name in names if wanted == SEEDS.sub("", name)), wanted)
    if wanted is not None and wanted not in {*known, *names}:
        raise UserError(
            f"{option} {wanted!r} is not among the runs; there are: {', '.join(sorted(names))}"
        )
    name = wanted or ("protonet" if "protonet" in known else known[0])
    fitting = [i for i, method in enumerate(methods) if name in {method.method, names[i]}]
    return min(
        fitting,
        key=lambda i: (
            names[i] != name,
            methods[i].backbone is None,  # rows made elsewhere may have any name
            bool(methods[i].first.declared.trained),
            names[i],
        ),
    )


def _describe(design: Design, bank: Bank, variation: Variation) -> str:
    """Count the classes and videos that episodes show, and say which of them cannot vary."""
    units = " and ".join(
        f"{unit.shown.sum()} {unit.kind}" for unit in (design.classes, design.videos)
    )
    in_all = f"{len(bank.split.classes)} classes and {len(bank.split.videos)} videos"
    counted = f"episodes show {units}" + ("" if units == in_all else f", out of {in_all}")
    if variation.base == "videos and classes":
        return counted
    if len(bank.episodes) == 1:
        return f"{counted}; nothing is decided over a single episode"
    always, number = design.classes.always_shown.sum(), design.classes.shown.sum()
    some = "all" if always == number else str(always)
    why = f"{some} of them {'is' if some == '1' else 'are'} in every episode"
    if number == 1:
        why = "there is one"
    if variation.base == "videos":
        return f"{counted}; classes cannot vary ({why}), so that videos decide"
    return (
        f"{counted}; neither classes nor videos can vary (some of both are in every episode), so"
        " that nothing is decided; a bank of fewer classes in an episode (`fvbench bank new --way`)"
        " lets them vary"
    )


def _row(differences: Differences, index: int, title: str, same_as: str | None) -> Row:
    accuracies = differences.variation.estimates(index)
    predictions = differences.variation.predictions(index)
    versus = Versus()
    if index != differences.reference:
        versus = differences.versus(index, differences.reference)
    of_runs = {each.name: each.metadata["of"] for each in fields(Row) if each.metadata}
    return Row(
        **vars(versus),
        **{name: of(differences.methods[index]) for name, of in of_runs.items()},
        title=title,
        same_as=same_as,
        accuracy=accuracies["episodes"].mean,
        interval=_interval("episodes", accuracies["episodes"]),
        intervals={kind: _interval(kind, estimate) for kind, estimate in accuracies.items()},
        predictions={
            what: estimate.interval_of_fraction() for what, estimate in predictions.items()
        },
        group=differences.groups.get(index, ()),
    )


def _interval(kind: Kind, accuracy: Estimate) -> Interval:
    """Interval of an accuracy: over episodes symmetric, by convention, otherwise within 0 to 1."""
    if kind == "episodes" and 0 < accuracy.mean < 1:
        return accuracy.interval()
    if "classes" in kind:
        return accuracy.interval_over_classes()
    return accuracy.interval_of_fraction()


def write_summary(folder: Path, comparison: Comparison) -> None:
    """Write ``summary.json``: derived figures, which may be deleted and made again."""
    write_text(folder / "summary.json", dump(comparison.content()))
