"""Copy runs without the margins of their answers, to commit them.

    python -m bench.runs.compact results/local/results results

Margins are four fifths of the bytes. No table needs them, only the pictures of cases, which are
drawn from a few runs. Runs of the same name in the target are replaced.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.runs.directory import find_runs, read_run, write_run
from episodes.errors import UserError


def compact(source: Path, target: Path, whole: Collection[str] = ()) -> int:
    """Copy every run below a folder to the same path below another; return their number.

    Args:
        source: the folder of runs.
        target: the folder of the copies.
        whole: paths below it of the runs that keep their margins.

    Raises:
        UserError: there is none, or one is damaged.
    """
    folders = find_runs(source)
    for folder in folders:
        run, place = read_run(folder), folder.relative_to(source.resolve())
        if place.as_posix() not in whole:
            run = replace(run, rows=run.rows.drop(columns="margin"))
        write_run(target / place, run)
    return len(folders)


def main(
    source: Annotated[Path, typer.Argument(help="The folder of runs.")],
    target: Annotated[Path, typer.Argument(help="Where they are written without margins.")],
    whole: Annotated[list[str] | None, typer.Option(help="A run that keeps them.")] = None,
) -> None:
    """Copy runs without the margins of their answers, to commit them."""
    try:
        typer.echo(f"{compact(source, target, whole or ())} runs in {target}")
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
