"""The rules of conformance: properties of every method, and reasons to trust its numbers.

Tests examine `RULES` one by one; `examine`, like `fvbench check-method`, examines them all.
`parity` compares with the outputs of authors' code.

May import: bench, bench.plugins, bench.running, episodes and its rooms.
"""

from bench.conformance.examination import RULES, Report, examine
from bench.conformance.rule import Breach, MethodUnderTest, Rule

__all__ = ["RULES", "Breach", "MethodUnderTest", "Report", "Rule", "examine"]
