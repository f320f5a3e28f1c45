"""The gate: is a run worse than its baseline? For CI, and for tests of other projects.

A test needs no plugin:

    from bench.comparison.gate import assert_not_worse

    def test_accuracy_holds():
        assert_not_worse("results/baselines/default", "results/local/new", drop=0.005)

May import: bench.runs, bench.statistics, episodes; none of the tables of `bench.comparison`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.comparison.gate.baseline import read_anchor, read_baseline
from bench.comparison.gate.output import line
from bench.comparison.gate.verdict import Tolerance, Verdict, exit_status, judge
from bench.runs.directory import find_failures, read_runs
from bench.runs.run import Run
from bench.statistics import LEVEL
from episodes.errors import UserError

__all__ = ["Tolerance", "Verdict", "assert_not_worse", "of_methods", "verdicts_of"]


def verdicts_of(
    baseline: Path,
    run: Path,
    tolerance: Tolerance | None = None,
    methods: Sequence[str] = (),
    allow_drift: bool = False,
) -> list[Verdict]:
    """Judge the runs in one folder by those in another; arguments as for `assert_not_worse`.

    Raises:
        UserError: a folder holds no run, or one that cannot be read, or no run of a method.
    """
    before = of_methods(read_baseline(baseline), methods, baseline)
    after = [one for one in read_runs([run]) if not methods or one.identity.method in methods]
    verdicts = judge(before, after, tolerance, read_anchor(baseline), allow_drift)
    for failure in find_failures(run):
        verdicts = [
            replace(one, reason=failure.reason)
            if one.revision is None  # the run lacks it
            and (one.method.partition(" (")[0], one.bank) == (failure.method, failure.bank)
            else one
            for one in verdicts
        ]
    return verdicts


def of_methods(runs: Sequence[Run], methods: Sequence[str], folder: Path) -> list[Run]:
    """Return the runs in a folder of these methods; all runs if none is named.

    Raises:
        UserError: there is no run of a method.
    """
    known = {one.identity.method for one in runs}
    if absent := sorted(set(methods) - known):
        raise UserError(
            f"--methods {', '.join(absent)}: {folder} has no run of them, but of"
            f" {', '.join(sorted(known))}"
        )
    return [one for one in runs if not methods or one.identity.method in methods]


def assert_not_worse(
    baseline: str | Path,
    run: str | Path,
    drop: float = 0.005,
    level: float = LEVEL,
    throughput_drop: float = 0.2,
    methods: Sequence[str] = (),
    allow_drift: bool = False,
) -> list[Verdict]:
    """Fail a test if a run is worse than its baseline, or if that is undecided.

    Args:
        baseline: folder with the runs that are the baseline, and its anchor.
        run: folder with the new runs, of the same methods on the same banks.
        drop: mean accuracy that may be lost, a fraction.
        level: coverage of the interval on the paired difference over episodes.
        throughput_drop: speed that may be lost, a fraction; judged on the same machine only.
        methods: those that are compared; all of the baseline if empty.
        allow_drift: compare although settings, weights, features or videos differ.

    Returns:
        the verdicts; all are ok, or of methods that the baseline does not have.

    Raises:
        AssertionError: a method is worse or slower; the message has a line for each.
        UserError: a method is missing, cannot be compared, or took part in too few episodes.
    """
    tolerance = Tolerance(drop, level, throughput_drop)
    verdicts = verdicts_of(Path(baseline), Path(run), tolerance, methods, allow_drift)
    status = exit_status(verdicts)
    lines = "\n".join(line(one) for one in verdicts if one.outcome != "ok")
    if status == 1:
        raise AssertionError(lines)
    if status == 2:
        raise UserError(f"undecided:\n{lines}")
    return verdicts
