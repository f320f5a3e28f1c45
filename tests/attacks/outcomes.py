"""What became of many variants of one attack."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Outcome = Literal["named", "harmless", "another input", "wrong", "traceback", "hang"]
"""named: refused with one message, or noticed and made again.
harmless: the result is that of the run that nobody disturbed.
another input: a file that a person may well have meant so was taken at its word.
wrong: something was changed and believed.
traceback: an exception that nobody foresaw, or a defect that the program found in itself.
hang: no end, or a process that stays behind."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FAULTS: tuple[Outcome, ...] = ("wrong", "traceback", "hang")
TABLE = f"| | variants | {' | '.join(OUTCOMES)} |\n|---|{'---:|' * (len(OUTCOMES) + 1)}"


@dataclass
class Tally:
    """Outcomes of one attack, and words about those that may not be."""

    name: str
    counts: Counter[Outcome] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, words: str = "") -> None:
        """Count one variant."""
        self.counts[outcome] += 1
        if outcome in FAULTS:
            self.faults.append(f"{self.name}: {outcome}: {words}")

    def __iadd__(self, other: "Tally") -> "Tally":
        """Take in what another one counted."""
        self.counts += other.counts
        self.faults += other.faults
        return self

    def row(self) -> str:
        """A row of the page."""
        cells = " | ".join(f"{self.counts[one]:,}" for one in OUTCOMES)
        return f"| {self.name} | {self.counts.total():,} | {cells} |"
