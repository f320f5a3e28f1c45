"""``fvbench compare``."""

from dataclasses import replace
from typing import Annotated

import typer

from bench.commands.config import refuse
from bench.commands.options import (
    Family,
    Json,
    OwnVideos,
    Plugin,
    Reference,
    RunsOrRows,
    print_result,
)
from episodes.errors import UserError


def compare(
    context: typer.Context,
    places: RunsOrRows,
    reference: Reference = None,
    bank: Annotated[
        str | None,
        typer.Option(
            help="Name or file of the bank of rows made elsewhere, and of runs on a recipe file."
        ),
    ] = None,
    data: OwnVideos = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="Number of episodes of --bank or --data; default: as many as the runs have, or"
            " else as the bank states."
        ),
    ] = None,
    family: Family = None,
    mcnemar: Annotated[
        bool, typer.Option("--mcnemar", help="Show McNemar's test, valid for these videos only.")
    ] = False,
    across: Annotated[
        bool, typer.Option("--across", help="Compare the results of several banks.")
    ] = False,
    style: Annotated[
        str, typer.Option("--format", help="With --across: terminal, markdown or latex.")
    ] = "terminal",
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Compare methods on a bank: paired differences and groups.

    Also shows where methods disagree, and which classes are hard.

    Takes run directories, folders that hold some, and files of rows made elsewhere: a .csv or
    .parquet named after the method, with columns episode, query and prediction (0..way-1, the index
    of the class in its episode) and one row for each query of the bank. Columns training_seed and
    trained say how the method was trained. Runs of several training seeds of a method make one row.

    Every difference is judged over the widest of videos, classes and trainings that both methods
    support, and corrected for the number of comparisons: of all methods with the reference, without
    controls and duplicates, or of those that --family names.

    With --across, compares runs of the same methods on several banks: rank correlation of the
    methods between banks, what the order of frames is worth on each bank, ranks with intervals, and
    on how many banks one method is better than another.

    exit status
      0  done
      2  nothing compared: no run there, or runs of other banks, episodes or dtypes

    Example: fvbench compare results/local/run --reference protonet
    """
    from bench.commands.arguments import gather, read_family
    from bench.comparison.show import content, text
    from bench.comparison.summary import compare_on_one_bank
    from bench.runs.directory import find_failures

    if across:
        refuse(context, ("reference", "family", "mcnemar"), "for one bank, not for --across")
    if not across and style != "terminal":
        raise UserError(f"--format {style} is of --across; `fvbench tables` has it for one bank")
    runs, banks = gather(places, data, bank, episodes)
    if across:
        from bench.comparison.across import show
        from bench.comparison.across.summary import across as compared

        found = compared(runs, banks)
        print_result(found.content() if json else show.text(found, style))
        return
    comparison = compare_on_one_bank(runs, reference, banks, read_family(family))
    failed = [failure for place in places for failure in find_failures(place)]
    on_bank = [failure for failure in failed if failure.bank == comparison.bank]
    comparison = replace(comparison, failures=on_bank)
    print_result(content(comparison) if json else text(comparison, mcnemar))
