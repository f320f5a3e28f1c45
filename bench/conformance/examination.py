"""Examining a method: every rule, and the figures, in one report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.conformance import isolation, names, robustness, symmetry
from bench.conformance.declarations import declarations
from bench.conformance.fast_form import fast_form
from bench.conformance.figures import Figures, figures
from bench.conformance.learning import gradients
from bench.conformance.rule import Rule, Subject
from bench.conformance.time_order import time_order
from bench.method import Entry

RULES: tuple[Rule, ...] = (
    robustness.scores,
    declarations,
    symmetry.class_order,
    symmetry.query_order,
    symmetry.one_query,
    symmetry.support_order,
    symmetry.episodes,
    symmetry.videos,
    symmetry.pairs,
    names.names,
    isolation.random_state,
    isolation.memory,
    isolation.inputs,
    isolation.state,
    robustness.sizes,
    robustness.finite,
    robustness.float64,
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


def examine(entry: Entry) -> Report:
    """Look at every rule for a method; only at the first one if it cannot even score."""
    subject = Subject(entry)
    found = _breaches(RULES[0], subject)
    if found:
        return Report(entry.name, 1, found, None)
    for rule in RULES[1:]:
        found += _breaches(rule, subject)
    return Report(entry.name, len(RULES), found, None if found else figures(subject))


def _breaches(rule: Rule, subject: Subject) -> list[Breach]:
    return [Breach(rule.name, words) for words in rule.breaches(subject)]
