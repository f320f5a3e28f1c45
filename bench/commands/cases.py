"""``fvbench cases``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    Cache,
    Json,
    OwnVideos,
    Plugin,
    Runs,
    print_result,
)


def cases(
    folders: Runs,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    episodes: Annotated[
        str | None,
        typer.Option(help="Episodes to draw, separated by commas; 40:3 is query 3 of episode 40."),
    ] = None,
    find: Annotated[
        str | None, typer.Option(metavar="KIND", help="Draw the three clearest of a kind.")
    ] = None,
    data: OwnVideos = None,
    cache: Cache = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Count and draw where MASTAF and its branches disagree.

    Takes runs of mastaf, mastaf-self, mastaf-cross and mastaf-neighbor on one bank, and looks among
    all queries for four kinds of case:

      self-right-cross-wrong   Only-Self right, Only-Cross wrong, MASTAF right
      cross-right-self-wrong   Only-Cross right, Only-Self wrong, MASTAF right
      fusion-only-right        Only-Self and Only-Cross wrong, MASTAF right
      fusion-wrong             MASTAF wrong, Only-Self or Only-Cross right

    Prints how often each occurs, and draws the clearest case of each: the angles between the query
    and the prototypes with the frames of all videos, and MASTAF's attention over them. Writes .png
    and .svg files and cases.json.

    exit status
      0  done
      1  there is no case of the kind asked for
      2  nothing counted: runs missing, or not as they were when they were made

    Example: fvbench run --methods mastaf,mastaf-self,mastaf-cross,mastaf-neighbor --episodes 500
             fvbench cases results/local/run-500 --out results/local/cases
    """
    from bench.commands.arguments import gather
    from bench.machine.progress import Reporter
    from bench.report.cases.examination import Examiner
    from bench.report.cases.gallery import as_text, chosen, write_case, write_index
    from bench.report.cases.outcomes import Outcomes

    runs, banks = gather(folders, data)
    outcomes = Outcomes(runs, banks)
    queries = chosen(outcomes, episodes, find)
    examiner = Examiner(outcomes, Reporter())
    drawn = [examiner.examine(query) for query in queries]
    files = [file for case in drawn for file in write_case(out, case)]
    content = write_index(out, outcomes, drawn)
    print_result(content if json else as_text(outcomes))
    for file in files:
        typer.echo(f"wrote {out / file}", err=True)
    if not drawn:
        typer.echo(f"no query is a case of {find or 'any kind'}: nothing drawn", err=True)
        raise typer.Exit(1)
