"""Which methods are examined, and the report on each: every rule, and the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.conformance import isolation, symmetry
from bench.conformance.declarations import declarations, names, time_order
from bench.conformance.fast_form import fast_form
from bench.conformance.learning import gradients
from bench.conformance.rule import MethodUnderTest, Reordered, Rule
from bench.conformance.trial import VECTORS
from bench.method import ConfiguredMethod, find
from bench.plugins.registry import methods_in
from episodes.errors import UserError
from episodes.plugins import plugin_files


@dataclass
class Selection:
    """Methods to examine, each once, and a line for each thing that is not a method."""

    entries: list[ConfiguredMethod] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, entries: Sequence[ConfiguredMethod]) -> None:
        """Add methods that are not there yet."""
        self.entries += [entry for entry in entries if entry not in self.entries]


def select(wanted: Sequence[str], every: bool, among: Mapping[str, ConfiguredMethod]) -> Selection:
    """Find what was asked for; what cannot be found or imported does not stop the rest.

    Args:
        wanted: names of methods, files, folders.
        every: whether all of ``among`` are wanted.
        among: methods that are known, by name.

    Raises:
        UserError: nothing was asked for.
    """
    if not wanted and not every:
        raise UserError("name a method or a file, or give --all for all methods")
    selection = Selection()
    selection.add([entry for _, entry in sorted(among.items()) if every])
    for one in wanted:
        for part in _parts(one, among):
            try:
                selection.add([find(part, among)] if isinstance(part, str) else methods_in(part))
            except UserError as error:
                selection.errors.append(str(error))
    return selection


def _parts(wanted: str, among: Mapping[str, ConfiguredMethod]) -> Sequence[str | Path]:
    """A name as it is, a file as a path, a folder as the paths in it."""
    path = Path(wanted)
    if wanted in among:
        return [wanted]
    if path.is_dir():
        return plugin_files(path) or [path]
    return [path] if path.suffix == ".py" or path.exists() else [wanted]


class Figures(NamedTuple):
    """Fractions of predictions, before training, on made-up episodes."""

    reversal_changes: float
    """Other than before once the queries' frames are reversed, on the grid of the default
    backbone."""
    reversal_changes_on_vectors: float
    """The same where there is one vector a frame."""


def figures(subject: MethodUnderTest) -> Figures:
    """Compute the figures of a method that keeps all rules."""
    return Figures(
        _reversal_changes(subject.on_the_default_grid),
        _reversal_changes(subject.reordered(VECTORS)),
    )


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
"""Every rule; a method that breaks the first one cannot be tried on the others."""


class Breach(NamedTuple):
    """A way in which a method breaks a rule."""

    rule: str
    words: str


@dataclass(frozen=True)
class Report:
    """What an examination found."""

    method: str
    rules: int
    """How many were looked at."""
    breaches: Sequence[Breach]
    figures: Figures | None
    """None where a rule is broken."""

    def lines(self) -> list[str]:
        """One line for a method that keeps all rules, else one for each breach."""
        if self.figures is None:
            return [f"{self.method} breaks {rule}: {words}" for rule, words in self.breaches]
        return [
            f"{self.method}: ok, {self.rules} rules; reversing time changes"
            f" {self.figures.reversal_changes:.0%} of predictions"
        ]

    def record(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "method": self.method,
            "ok": not self.breaches,
            "rules": self.rules,
            "breaches": [breach._asdict() for breach in self.breaches],
            "figures": None if self.figures is None else self.figures._asdict(),
        }


def examine(entry: ConfiguredMethod) -> Report:
    """Look at every rule for a method; only at the first one if it cannot even score."""
    subject = MethodUnderTest(entry)
    found = _breaches(RULES[0], subject)
    if found:
        return Report(entry.name, 1, found, None)
    for rule in RULES[1:]:
        found += _breaches(rule, subject)
    return Report(entry.name, len(RULES), found, None if found else figures(subject))


def _breaches(rule: Rule, subject: MethodUnderTest) -> list[Breach]:
    return [Breach(rule.name, words) for words in rule.breaches(subject)]
