"""The rules of conformance: what holds for every method, and why a number may be believed.

`RULES` are looked at one by one in tests, or all together by `examine`, as `fvbench check-method`
does; `parity` compares with the numbers of authors' code.

May import: bench, bench.plugins, bench.runs, bench.features, bench.running, episodes and its rooms.
"""

from bench.conformance.examination import RULES, Breach, Report, examine
from bench.conformance.rule import MethodUnderTest, Rule

__all__ = ["RULES", "Breach", "MethodUnderTest", "Report", "Rule", "examine"]
