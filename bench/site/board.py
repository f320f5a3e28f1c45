"""The content of a leaderboard: comparisons, and a line for each method on all banks."""

import hashlib
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.comparison.frame import Comparison
from bench.comparison.row import Row
from bench.comparison.summary import compare_on_one_bank
from bench.plugins.registry import all_methods
from bench.report.sources import links
from bench.runs.by_method import DRAWN, MethodRuns, check_one_backbone
from bench.runs.run import Run
from bench.runs.schema import Declared
from episodes.banks.bank import Bank
from episodes.errors import UserError


@dataclass(frozen=True)
class MethodOnBank:
    """A method on a bank, and its row there."""

    comparison: Comparison
    row: Row
    method: MethodRuns

    @property
    def training(self) -> str:
        """Whether and how it was trained, whatever the number of seeds."""
        return self.row.trained_words.partition(",")[0]

    @property
    def recipe(self) -> str | None:
        """Hash of the recipe of its training; None if that is not known."""
        return self.method.first.declared.training_recipe_sha256


Line = Sequence[MethodOnBank]
"""A method, trained in one way on one backbone: its places, one for each bank with runs of it."""


@dataclass(frozen=True)
class Board:
    """Everything that a site shows."""

    comparisons: Sequence[Comparison]
    """One for each bank."""

    @cached_property
    def lines(self) -> Sequence[Line]:
        """Lines by rank on the first bank, then those with runs on other banks alone."""
        lines: dict[tuple[object, ...], list[MethodOnBank]] = {}
        for one in self.comparisons:
            for row, method in zip(one.rows, one.methods, strict=True):
                place = MethodOnBank(one, row, method)
                # The number of seeds may differ between banks within a line; if it differs on one
                # bank, each number has a line.
                key: tuple[object, ...]
                key = (row.method, place.training, row.backbone, row.frames, row.training)
                if any(other.comparison is one for other in lines.get(key, ())):
                    key = row.key
                recipes = {other.recipe for other in lines.get(key, ())} - {None, place.recipe}
                if recipes and place.recipe is not None:
                    key = *key, place.recipe  # another recipe has this name
                lines.setdefault(key, []).append(place)
        return list(lines.values())

    @cached_property
    def methods(self) -> Mapping[str, list[Line]]:
        """Name of a method -> its lines, in alphabetical order."""
        by_name: dict[str, list[Line]] = {}
        for line in self.lines:
            by_name.setdefault(line[0].row.method, []).append(line)
        return dict(sorted(by_name.items()))

    @property
    def places(self) -> list[MethodOnBank]:
        """Every method on every bank."""
        return [place for line in self.lines for place in line]


def board(runs: Sequence[Run], reference: str | None = None, banks: Sequence[Bank] = ()) -> Board:
    """Compare runs on every bank; the same run in several places counts once.

    Args:
        runs: on any banks.
        reference: method that the others are compared with, on the banks that have it.
        banks: those that cannot be opened by their names.

    Raises:
        UserError: two runs of a method differ in something that the table does not show, or no run
            is of the reference.
    """
    known = sorted({run.identity.method for run in runs})
    if reference is not None and reference not in known:
        raise UserError(
            f"--reference {reference!r} is not a method of these runs; there are:"
            f" {', '.join(known)}"
        )
    check_one_backbone(runs)
    groups: dict[tuple[str, ...], dict[str, Run]] = {}
    for run in runs:
        bank = run.identity.bank, run.identity.bank_sha256, run.identity.dtype
        groups.setdefault(bank, {}).setdefault(run_id(run), run)
    comparisons: dict[str, Comparison] = {}
    for (title, sha256, dtype), group in groups.items():
        one = _compared(list(group.values()), reference, banks)
        name = f"{title} (episodes {sha256:.6}, {dtype})" if title in comparisons else title
        comparisons[name] = replace(one, bank=name)
    return Board(list(comparisons.values()))


def _compared(runs: list[Run], reference: str | None, banks: Sequence[Bank]) -> Comparison:
    """Compare runs on a bank with the reference on the most frequent backbone."""
    is_here = any(run.identity.method == reference for run in runs)
    one = compare_on_one_bank(runs, reference if is_here else None, banks)
    chosen = next(row for row in one.rows if row.title == one.reference)
    usual, _ = Counter(row.backbone for row in one.rows).most_common(1)[0]
    on_usual = [
        row.title
        for row in one.rows
        if (row.method, row.backbone) == (chosen.method, usual) and not row.trained
    ]
    if chosen.backbone == usual or not on_usual:
        return one
    return compare_on_one_bank(runs, on_usual[0], banks)


def run_id(run: Run) -> str:
    """Return a name for a run, derived from its identity and rows."""
    identity = json.dumps(run.identity.content(), sort_keys=True)
    rows = run.rows[["episode", "query", "prediction"]].to_numpy().tobytes()
    return hashlib.sha256(identity.encode() + rows).hexdigest()[:16]


def kind_of(comparison: Comparison) -> str:
    """Return the kind of a bank's videos: rendered or real."""
    return "rendered" if comparison.methods[0].first.identity.dataset == DRAWN else "real"


def slug(text: str) -> str:
    """Return a file name for a title, which no other title has."""
    plain = re.sub(r"[^a-z0-9+]+", "-", text.lower()).strip("-")
    if plain == text:
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def idea(name: str, declared: Declared) -> tuple[str, list[str]]:
    """Return a sentence on what a method does, and the paragraphs of its file.

    If the code of this method is not here, the sentence is that of its run, without paragraphs.
    """
    known = all_methods().get(name)
    here, there = known.cls.source if known else "", declared.source
    if known is None or (here != there and not {*links(here)} & {*links(there)}):
        return declared.idea, []
    paragraphs = inspect.cleandoc(sys.modules[known.cls.__module__].__doc__ or "").split("\n\n")
    return inspect.cleandoc(known.cls.__doc__ or "").partition("\n\n")[0], paragraphs
