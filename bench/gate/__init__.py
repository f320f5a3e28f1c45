"""The gate: is a run worse than a baseline? For CI, and for tests of other projects.

A test needs no plugin:

    from bench.gate import assert_not_worse

    def test_accuracy_holds():
        assert_not_worse("results/baselines/default", "results/local/new", drop=0.005)
"""

from pathlib import Path

from bench.gate.baseline import read_baseline
from bench.gate.output import line
from bench.gate.verdict import Tolerance, Verdict, exit_status, judge
from bench.run_directory import find_runs, read_run
from bench.statistics import LEVEL
from episodes.errors import UserError

__all__ = ["Tolerance", "Verdict", "assert_not_worse", "verdicts_of"]


def verdicts_of(baseline: Path, run: Path, tolerance: Tolerance | None = None) -> list[Verdict]:
    """Compare the runs in one folder with those in another, as `bench.gate.verdict.judge` does.

    Raises:
        UserError: a folder holds no run, or one that cannot be read.
    """
    runs = [read_run(path) for path in find_runs(run)]
    return judge(read_baseline(baseline), runs, tolerance)


def assert_not_worse(
    baseline: str | Path,
    run: str | Path,
    drop: float = 0.005,
    level: float = LEVEL,
    throughput_drop: float = 0.2,
) -> list[Verdict]:
    """Fail a test if a run is worse than its baseline, or was not compared in full.

    Args:
        baseline: folder with the runs that are the baseline.
        run: folder with the new runs, of the same methods on the same banks.
        drop: mean accuracy that may be lost, a fraction.
        level: coverage of the interval that must leave zero out, on the paired difference over
            episodes.
        throughput_drop: speed that may be lost, a fraction; judged on the same machine only.

    Returns:
        the verdicts, where none is bad.

    Raises:
        AssertionError: a method is worse or slower; the message has a line for each.
        UserError: a method is missing or cannot be compared, or there is nothing to compare.
    """
    verdicts = verdicts_of(Path(baseline), Path(run), Tolerance(drop, level, throughput_drop))
    status = exit_status(verdicts)
    lines = "\n".join(line(one) for one in verdicts if one.outcome != "ok")
    if status == 1:
        raise AssertionError(lines)
    if status == 2:
        raise UserError(f"not compared in full:\n{lines}")
    return verdicts
