"""What a leaderboard shows: comparisons, a line for each method with its figures on every bank."""

import hashlib
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.comparison.frame import Comparison
from bench.comparison.row import Row
from bench.comparison.summary import compare_on_one_bank
from bench.method import find
from bench.plugins.registry import all_methods
from bench.report.sources import links
from bench.runs.by_method import DRAWN, MethodRuns
from bench.runs.run import Run
from bench.runs.schema import Declared
from episodes.banks.bank import Bank


@dataclass(frozen=True)
class Place:
    """A method on a bank: where it stands there."""

    comparison: Comparison
    row: Row
    method: MethodRuns


@dataclass(frozen=True)
class Line:
    """A method as it was trained, on a backbone, over all banks."""

    places: Sequence[Place]
    """One for each bank that it was run on."""

    @property
    def row(self) -> Row:
        """What all places have in common."""
        return self.places[0].row

    @property
    def needs(self) -> str:
        """What the method makes use of; empty where a run does not say."""
        return self.places[0].method.first.declared.needs

    @property
    def training(self) -> str:
        """Whether and how it was trained, whatever the number of seeds."""
        return self.row.trained_words.partition(",")[0]

    def on(self, comparison: Comparison) -> Place | None:
        """Return its place on a bank."""
        return next((one for one in self.places if one.comparison is comparison), None)


@dataclass(frozen=True)
class Board:
    """Everything that a site shows."""

    comparisons: Sequence[Comparison]
    """One for each bank."""

    @cached_property
    def lines(self) -> list[Line]:
        """The best on the first bank first, then those that were run on other banks alone."""
        found: dict[tuple[object, ...], list[Place]] = {}
        for one in self.comparisons:
            for row, method in zip(one.rows, one.methods, strict=True):
                # On another bank it may have been trained from fewer seeds, which is no other
                # method; of two numbers of seeds on one bank, each has its line.
                how = row.trained_words.partition(",")[0]
                key: tuple[object, ...] = (row.method, how, row.backbone, row.frames, row.training)
                if any(place.comparison is one for place in found.get(key, ())):
                    key = row.key
                found.setdefault(key, []).append(Place(one, row, method))
        return [Line(places) for places in found.values()]

    @cached_property
    def methods(self) -> Mapping[str, list[Line]]:
        """Name of a method -> its lines, by name."""
        names = sorted({line.row.method for line in self.lines})
        return {name: [one for one in self.lines if one.row.method == name] for name in names}

    def places(self) -> Iterable[Place]:
        """Every method on every bank."""
        return (place for line in self.lines for place in line.places)


def board(runs: Sequence[Run], reference: str | None = None, banks: Sequence[Bank] = ()) -> Board:
    """Compare runs on every bank; the same run in several places counts once.

    Args:
        runs: on any banks, from anybody.
        reference: method the others are compared with, on the banks that have it.
        banks: those that cannot be rebuilt by their names.

    Raises:
        UserError: two runs of a method differ in something that a table does not show.
    """
    groups: dict[tuple[str, ...], dict[str, Run]] = {}
    for run in runs:
        which = run.identity.bank, run.identity.bank_sha256, run.identity.dtype
        groups.setdefault(which, {}).setdefault(run_id(run), run)
    found = []
    titles: dict[str, int] = {}
    for (title, sha256, _), group in groups.items():
        one = _compared(list(group.values()), reference, banks)
        titles[title] = titles.get(title, 0) + 1
        again = f"{title} (other episodes, {sha256:.6})" if titles[title] > 1 else title
        found.append(replace(one, bank=again))
    return Board(found)


def _compared(runs: list[Run], reference: str | None, banks: Sequence[Bank]) -> Comparison:
    """Compare runs on a bank with the reference on the backbone that most of them have."""
    have = {run.identity.method for run in runs}
    one = compare_on_one_bank(runs, reference if reference in have else None, banks)
    usual, _ = Counter(row.backbone for row in one.rows).most_common(1)[0]
    chosen = one.of(one.reference)
    same = [
        row.title
        for row in one.rows
        if chosen and (row.method, row.backbone) == (chosen.method, usual) and not row.trained
    ]
    if chosen is None or chosen.backbone == usual or not same:
        return one
    return compare_on_one_bank(runs, same[0], banks)


def run_id(run: Run) -> str:
    """Name a run by what decides its rows, and by the rows."""
    identity = json.dumps(run.identity.content(), sort_keys=True)
    rows = run.rows[["episode", "query", "prediction"]].to_numpy().tobytes()
    return hashlib.sha256(identity.encode() + rows).hexdigest()[:16]


def is_rendered(comparison: Comparison) -> bool:
    """Whether a bank is of rendered videos."""
    return comparison.methods[0].first.identity.dataset == DRAWN


def anchor(text: str) -> str:
    """A name for a file, from any title."""
    plain = re.sub(r"[^a-z0-9+]+", "-", text.lower()).strip("-")
    return plain or hashlib.sha256(text.encode()).hexdigest()[:8]


def _same_source(here: str, there: str) -> bool:
    """Whether two lines are of the same publication: their wording may change."""
    return here == there or bool({*links(here)} & {*links(there)})


def idea(name: str, declared: Declared) -> tuple[str, list[str]]:
    """Return what a method does, in a sentence, and the paragraphs of its file, where it is here.

    A run whose code is not here states it itself, or not at all.
    """
    methods = all_methods()
    if name not in methods or not _same_source(methods[name].cls.source, declared.source):
        return declared.idea, []
    cls = find(name, methods).cls
    words = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    return inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0], words.split("\n\n")
