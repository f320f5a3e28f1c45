"""The content of a leaderboard: comparisons, and a line for each method on all banks."""

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
from bench.plugins.registry import all_methods
from bench.report.sources import links
from bench.runs.by_method import DRAWN, MethodRuns
from bench.runs.run import Run
from bench.runs.schema import Declared
from episodes.banks.bank import Bank
from episodes.errors import UserError


@dataclass(frozen=True)
class Place:
    """A method on a bank, and its row there."""

    comparison: Comparison
    row: Row
    method: MethodRuns


@dataclass(frozen=True)
class Line:
    """A method, trained in one way on one backbone, over all banks."""

    places: Sequence[Place]
    """One for each bank with runs of the method."""

    @property
    def row(self) -> Row:
        """The first place's row, for what all places share."""
        return self.places[0].row

    @property
    def needs(self) -> str:
        """What the method needs; empty where the run does not say."""
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
        """Lines by rank on the first bank, then those with runs on other banks alone."""
        places: dict[tuple[object, ...], list[Place]] = {}
        for one in self.comparisons:
            for row, method in zip(one.rows, one.methods, strict=True):
                # The number of seeds may differ between banks within a line; if it differs on one
                # bank, each number has a line.
                how = row.trained_words.partition(",")[0]
                key: tuple[object, ...] = (row.method, how, row.backbone, row.frames, row.training)
                if any(place.comparison is one for place in places.get(key, ())):
                    key = row.key
                places.setdefault(key, []).append(Place(one, row, method))
        return list(map(Line, places.values()))

    @cached_property
    def methods(self) -> Mapping[str, list[Line]]:
        """Name of a method -> its lines, in alphabetical order."""
        names = sorted({line.row.method for line in self.lines})
        return {name: [one for one in self.lines if one.row.method == name] for name in names}

    def places(self) -> Iterable[Place]:
        """Every method on every bank."""
        return (place for line in self.lines for place in line.places)


def board(runs: Sequence[Run], reference: str | None = None, banks: Sequence[Bank] = ()) -> Board:
    """Compare runs on every bank; the same run in several places counts once.

    Args:
        runs: runs on any banks.
        reference: method that the others are compared with, on the banks that have it.
        banks: banks that cannot be opened by their names.

    Raises:
        UserError: two runs of a method differ in something that the table does not show, or no run
            is of the reference.
    """
    have = sorted({run.identity.method for run in runs})
    if reference is not None and reference not in have:
        raise UserError(
            f"--reference {reference!r} is not a method of these runs; there are: {', '.join(have)}"
        )
    groups: dict[tuple[str, ...], dict[str, Run]] = {}
    for run in runs:
        bank = run.identity.bank, run.identity.bank_sha256, run.identity.dtype
        groups.setdefault(bank, {}).setdefault(run_id(run), run)
    comparisons = []
    titles: dict[str, int] = {}
    for (title, sha256, _), group in groups.items():
        one = _compared(list(group.values()), reference, banks)
        titles[title] = titles.get(title, 0) + 1
        again = f"{title} (other episodes, {sha256:.6})" if titles[title] > 1 else title
        comparisons.append(replace(one, bank=again))
    return Board(comparisons)


def _compared(runs: list[Run], reference: str | None, banks: Sequence[Bank]) -> Comparison:
    """Compare runs on a bank with the reference on the most frequent backbone."""
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
    """Return a name for a run, derived from its identity and rows."""
    identity = json.dumps(run.identity.content(), sort_keys=True)
    rows = run.rows[["episode", "query", "prediction"]].to_numpy().tobytes()
    return hashlib.sha256(identity.encode() + rows).hexdigest()[:16]


def is_rendered(comparison: Comparison) -> bool:
    """Whether a bank is of rendered videos."""
    return comparison.methods[0].first.identity.dataset == DRAWN


def anchor(text: str) -> str:
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
