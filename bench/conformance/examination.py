"""Selecting methods to examine, and the report on each: every rule, and the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.conformance import isolation, symmetry
from bench.conformance.declarations import declarations, names, time_order
from bench.conformance.fast_form import fast_form
from bench.conformance.learning import gradients
from bench.conformance.rule import Breach, MethodUnderTest, Reordered, Rule
from bench.conformance.trial import VECTORS
from bench.method import ConfiguredMethod, find
from bench.plugins.registry import methods_in
from episodes.errors import UserError
from episodes.plugins import plugin_files


def select(
    wanted: Sequence[str], every: bool, among: Mapping[str, ConfiguredMethod]
) -> tuple[list[ConfiguredMethod], list[str]]:
    """Find methods; one that cannot be found or imported does not stop the rest.

    Args:
        wanted: names of methods, files, folders.
        every: whether all of ``among`` are wanted too.
        among: the known methods, by name.

    Returns:
        the methods, each once, and a message for everything that could not be found.

    Raises:
        UserError: neither ``wanted`` nor ``every`` is given.
    """
    if not wanted and not every:
        raise UserError("name a method or a file, or give --all for all methods")
    entries = [entry for _, entry in sorted(among.items()) if every]
    errors: list[str] = []
    for part in (part for name in wanted for part in _parts(name, among)):
        try:
            found = [find(part, among)] if isinstance(part, str) else methods_in(part)
        except UserError as error:
            errors.append(str(error))
        else:
            entries += [entry for entry in found if entry not in entries]
    return entries, errors


def _parts(wanted: str, among: Mapping[str, ConfiguredMethod]) -> Sequence[str | Path]:
    """Return a name unchanged, a file as a path, a folder as the paths of its plugins."""
    path = Path(wanted)
    if wanted in among:
        return [wanted]
    if path.is_dir():
        return plugin_files(path) or [path]
    return [path] if path.suffix == ".py" or path.exists() else [wanted]


class Figures(NamedTuple):
    """Figures of an untrained method on synthetic episodes."""

    reversal_changes: float
    """Fraction of predictions that change when the query frames are reversed, on the grid of the
    default backbone."""
    reversal_changes_on_vectors: float
    """The same fraction with one vector per frame."""


def _reversal_changes(scores: Reordered) -> float:
    changed = scores.forwards.argmax(dim=-1) != scores.backwards.argmax(dim=-1)
    return float(changed.double().mean())


RULES: tuple[Rule, ...] = (
    isolation.scores,
    declarations,
    symmetry.class_order,
    symmetry.query_order,
    symmetry.one_query,
    symmetry.support_order,
    symmetry.episodes,
    symmetry.videos,
    symmetry.pairs,
    names,
    isolation.random_state,
    isolation.memory,
    isolation.inputs,
    isolation.state,
    isolation.sizes,
    isolation.finite,
    isolation.float64,
    gradients,
    fast_form,
    time_order,
)
"""Every rule; a method that breaks the first one cannot be tested on the others."""


@dataclass(frozen=True)
class Report:
    """The result of an examination."""

    method: str
    rules: int
    """Number of rules that were examined."""
    breaches: Sequence[Breach]
    figures: Figures | None
    """None if a rule is broken."""

    def lines(self) -> list[str]:
        """One line for a method that keeps all rules, else one for each breach."""
        if self.figures is None:
            return [f"{self.method} breaks {rule}: {words}" for rule, words in self.breaches]
        return [
            f"{self.method}: ok, {self.rules} rules; reversing time changes"
            f" {self.figures.reversal_changes:.0%} of predictions"
        ]

    def record(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "method": self.method,
            "ok": not self.breaches,
            "rules": self.rules,
            "breaches": [breach._asdict() for breach in self.breaches],
            "figures": None if self.figures is None else self.figures._asdict(),
        }


def examine(entry: ConfiguredMethod) -> Report:
    """Examine every rule; only the first one if the method cannot even score."""
    subject, found = MethodUnderTest(entry), list[Breach]()
    for examined, rule in enumerate(RULES, start=1):
        found += [Breach(rule.name, words) for words in rule.breaches(subject)]
        if found and examined == 1:
            return Report(entry.name, examined, found, None)
    if found:
        return Report(entry.name, len(RULES), found, None)
    grids = (subject.on_the_default_grid, subject.reordered(VECTORS))
    return Report(entry.name, len(RULES), found, Figures(*map(_reversal_changes, grids)))
