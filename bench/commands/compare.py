"""``fvbench compare``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Json, OwnVideos, Reference

HELP = """Compare methods on a bank: paired differences and groups.

Also where methods disagree, and which classes are hard.

Takes run directories, folders that hold some, and files of rows made elsewhere: a .csv or .parquet
with columns episode, query and prediction (0..way-1, the class's place in its episode), one row
for each query of the bank, whose name is the method's. Runs of several training seeds of a method
are one row.

Every interval names what varies in it: "episodes", other draws of the same videos; "videos and
classes", what another data set of the kind would give.

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
    json: Json = False,
) -> None:
    """Compare methods on one bank."""
    from bench.comparison.gathering import gather
    from bench.comparison.show import content, text
    from bench.run_directory import dump
    from bench.summary import compare_on_one_bank

    runs, banks = gather(places, bank, data, episodes)
    comparison = compare_on_one_bank(runs, reference, banks)
    typer.echo(dump(content(comparison)) if json else text(comparison), nl=False)
