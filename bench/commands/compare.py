"""``fvbench compare``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Family, Json, OwnVideos, Plugin, Reference, use_plugins

HELP = """Compare methods on a bank: paired differences and groups.

Also where methods disagree, and which classes are hard.

Takes run directories, folders that hold some, and files of rows made elsewhere: a .csv or .parquet
with columns episode, query and prediction (0..way-1, the class's place in its episode), one row
for each query of the bank, whose name is the method's. Columns training_seed and trained say how
its method was trained. Runs of several training seeds of a method are one row.

Every difference is decided over the widest of videos, classes and trainings that both methods
support, and corrected for the number of comparisons: of all methods with the reference, controls
and duplicates left out, or of those that --family names.

With --across, runs of the same methods on several banks: rank correlation of the methods between
banks, what the order of frames is worth on each, ranks with intervals, and in how many banks one
method is better than another.

\b
exit status
  0  done
  2  nothing compared: no run there, or runs of other banks, episodes or dtypes
"""
EPILOG = "\b\nExample: fvbench compare results/local/run --reference protonet"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", help=HELP, epilog=EPILOG)(compare)


def compare(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Where the runs are; or files of rows."),
    ],
    reference: Reference = None,
    bank: Annotated[
        str | None,
        typer.Option(
            help="Bank of rows made elsewhere, and of runs whose bank was a file: name or file.",
            show_default=False,
        ),
    ] = None,
    data: OwnVideos = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="How many episodes of --bank or --data: as many as the runs have, or else as it"
            " states, if left out.",
            show_default=False,
        ),
    ] = None,
    family: Family = None,
    mcnemar: Annotated[
        bool, typer.Option("--mcnemar", help="Show McNemar's test, which is of these videos alone.")
    ] = False,
    across: Annotated[
        bool, typer.Option("--across", help="Compare banks with each other, by their methods.")
    ] = False,
    style: Annotated[
        str, typer.Option("--format", help="Of --across: terminal, markdown or latex.")
    ] = "terminal",
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Compare methods on one bank, or several banks by their methods."""
    use_plugins(plugin)
    from bench.comparison.family import read_family
    from bench.comparison.gathering import gather
    from bench.comparison.show import content, text
    from bench.comparison.summary import compare_on_one_bank
    from bench.runs.directory import dump

    runs, banks = gather(places, bank, data, episodes)
    if across:
        from bench.comparison.across import show
        from bench.comparison.across.summary import across as compared

        found = compared(runs, banks)
        typer.echo(dump(found.content()) if json else show.text(found, style), nl=False)
        return
    declared = [] if family is None else read_family(family)
    comparison = compare_on_one_bank(runs, reference, banks, declared)
    typer.echo(dump(content(comparison)) if json else text(comparison, mcnemar), nl=False)
