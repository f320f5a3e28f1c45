"""Copy runs without the margins of their answers, to commit them.

    python -m bench.runs.compact results/local/results results

Margins are four fifths of the bytes. No table needs them, only the pictures of cases, which are
drawn from a few runs. Runs of the same name in the target are replaced.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.runs.directory import find_runs, read_run, write_run
from episodes.errors import UserError


def compact(
    source: Annotated[Path, typer.Argument(help="The folder of runs.")],
    target: Annotated[Path, typer.Argument(help="The folder of the copies.")],
    whole: Annotated[
        list[str] | None, typer.Option(help="Path below SOURCE of a run that keeps its margins.")
    ] = None,
) -> None:
    """Copy every run below a folder to the same path below another, without margins."""
    folders = find_runs(source)
    for folder in folders:
        run, place = read_run(folder), folder.relative_to(source.resolve())
        if place.as_posix() not in (whole or ()):
            run = replace(run, rows=run.rows.drop(columns="margin"))
        write_run(target / place, run)
    typer.echo(f"{len(folders)} runs in {target}")


if __name__ == "__main__":
    try:
        typer.run(compact)
    except UserError as error:
        raise SystemExit(str(error)) from error
