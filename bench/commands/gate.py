"""``fvbench gate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.gate import Tolerance, Verdict
    from bench.run_directory import Run

HELP = """Say whether runs are worse than a baseline.

Both folders hold run directories, at any depth; methods are compared one by one, on the same
queries. A method is worse if its mean loss is above --drop and the interval of the paired
difference over episodes leaves zero out. Speed is judged on the same machine and device only. Where
GITHUB_ACTIONS is set, findings are also printed as GitHub's annotations, on stderr.

\b
exit status
  0  no loss above what is tolerated, or none that the interval can tell from zero
  1  at least one method is worse or slower
  2  not compared: other bank, dtype or episodes, a missing method, an empty or damaged run
"""
EPILOG = (
    "\b\nExample: fvbench gate results/baselines/default results/local/run --drop 0.01"
    " --junit gate.xml"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gate", help=HELP, epilog=EPILOG)(gate)


def gate(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE_DIR", help="Runs to hold against.")],
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="New runs.")],
    drop: Annotated[
        float,
        typer.Option(help="Mean accuracy that may be lost, a fraction: 0.005 is half a point."),
    ] = 0.005,
    level: Annotated[
        float, typer.Option(help="Coverage of the interval that must leave zero out.")
    ] = 0.95,
    throughput_drop: Annotated[
        float, typer.Option(help="Scoring speed that may be lost, a fraction.")
    ] = 0.2,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Make the run the baseline, whatever the verdict, and note who did it in"
            " accepted.json there.",
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the verdicts as JUnit XML to this file.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare a run with a baseline."""
    from bench.gate import Tolerance
    from bench.gate.baseline import accept as take_in
    from bench.gate.output import write_junit
    from bench.gate.verdict import exit_status, judge
    from bench.run_directory import find_runs, read_run

    tolerance = Tolerance(drop, level, throughput_drop)
    runs = [read_run(path) for path in find_runs(run)]
    verdicts = judge(_baseline(baseline, accept), runs, tolerance)
    if junit is not None:
        write_junit(junit, verdicts)
    _say(verdicts, tolerance, json)
    if accept:
        typer.echo(f"accepted: see {take_in(baseline, runs, verdicts)}", err=True)
        return
    raise typer.Exit(exit_status(verdicts))


def _baseline(folder: Path, accept: bool) -> "list[Run]":
    """The runs of the baseline; for `--accept` whatever lies there, even nothing."""
    from bench.gate.baseline import read_baseline
    from bench.run_directory import read_run

    if not accept:
        return read_baseline(folder)
    return [read_run(path.parent) for path in sorted(folder.glob("**/run.json"))]


def _say(verdicts: "Sequence[Verdict]", tolerance: "Tolerance", json: bool) -> None:
    import os
    from dataclasses import asdict

    from bench.gate.output import annotations, text
    from bench.gate.verdict import exit_status
    from bench.run_directory import dump

    if json:
        content = asdict(tolerance) | {
            "interval_over": "episodes",
            "exit_status": exit_status(verdicts),
            "verdicts": [asdict(one) for one in verdicts],
        }
        typer.echo(dump(content), nl=False)
    else:
        typer.echo(text(verdicts, tolerance), nl=False)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(annotations(verdicts), nl=False, err=True)
