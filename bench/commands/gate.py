"""``fvbench gate``."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Json, Plugin, print_result


def gate(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE_DIR", help="Runs to compare with.")],
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="New runs.")],
    drop: Annotated[
        float,
        typer.Option(help="Tolerated loss of mean accuracy, a fraction: 0.005 is half a point."),
    ] = 0.005,
    level: Annotated[
        float, typer.Option(help="Confidence level of the interval of the difference.")
    ] = 0.95,
    throughput_drop: Annotated[
        float, typer.Option(help="Tolerated loss of scoring speed, a fraction.")
    ] = 0.2,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Make the run the baseline, whatever the verdict, and record who did so in its"
            " accepted.json.",
        ),
    ] = False,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods of the baseline to compare, separated by commas.", show_default="all"
        ),
    ] = None,
    allow_drift: Annotated[
        bool,
        typer.Option(
            "--allow-drift",
            help="Compare even if settings, weights, backbone, frames or videos differ.",
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the verdicts as JUnit XML to this file.")
    ] = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Say whether runs are worse than a baseline.

    Both folders hold run directories, at any depth; methods are compared one by one, on the same
    queries. A method is ok if the interval of the paired difference over episodes is above --drop,
    WORSE if it is below and the loss is significant after correction for the number of methods, and
    undecided otherwise. Settings, weights, backbone, frames and videos must be those of the
    baseline, unless --allow-drift is given; changed code is reported and judged. Speed is judged
    only on the same machine and device. If GITHUB_ACTIONS is set, findings are also printed as
    GitHub annotations, on stderr.

    exit status
      0  every method is ok
      1  at least one is WORSE, or slower
      2  undecided: too few episodes, or not compared: a missing method, another bank, a damaged run
      3  the gate itself failed

    Example: fvbench gate results/baselines/default results/local/run --drop 0.01 --junit gate.xml
    """
    from bench.comparison.gate import Tolerance, of_methods, verdicts_of
    from bench.comparison.gate.baseline import accept as accept_runs
    from bench.comparison.gate.baseline import read_anchor, unchecked
    from bench.comparison.gate.output import annotations, text, write_junit
    from bench.comparison.gate.verdict import exit_status, judge
    from bench.runs.directory import read_runs
    from bench.settings import names_in

    tolerance = Tolerance(drop, level, throughput_drop)
    chosen = [] if methods is None else names_in(methods)
    if accept:
        runs = of_methods(read_runs([run]), chosen, run)
        before = unchecked(baseline)
        before = [one for one in before if not chosen or one.identity.method in chosen]
        verdicts = judge(before, runs, tolerance, read_anchor(baseline), True)
    else:
        verdicts = verdicts_of(baseline, run, tolerance, chosen, allow_drift)
    if junit is not None:
        write_junit(junit, verdicts)
    status = 0 if accept else exit_status(verdicts)
    content = asdict(tolerance) | {
        "interval_over": "episodes; trainings too where weights differ",
        "exit_status": status,
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }
    print_result(content if json else text(verdicts, tolerance))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(annotations(verdicts), nl=False, err=True)
    if accept:
        record = accept_runs(baseline, runs, verdicts)
        typer.echo(f"accepted: see {record}", err=True)
    else:
        raise typer.Exit(status)
