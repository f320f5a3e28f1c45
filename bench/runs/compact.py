"""Copy runs without the margins of their answers, as they are committed.

    python -m bench.runs.compact results/local/real results/real

Margins are four fifths of the bytes, and no table needs them. Everything else stays as it is; what
is there already under the same name is replaced.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.runs.directory import find_runs, read_run, write_run
from episodes.errors import UserError


def compact(source: Path, target: Path) -> int:
    """Copy every run below a folder to the same place below another; return how many there are.

    Raises:
        UserError: there is none, or one is damaged.
    """
    folders = find_runs(source)
    for folder in folders:
        run = read_run(folder)
        without = replace(run, rows=run.rows.drop(columns="margin"))
        write_run(target / folder.relative_to(source.resolve()), without)
    return len(folders)


def main(
    source: Annotated[Path, typer.Argument(help="The folder of runs.")],
    target: Annotated[Path, typer.Argument(help="Where they are written without margins.")],
) -> None:
    """Copy runs without the margins of their answers, as they are committed."""
    try:
        typer.echo(f"{compact(source, target)} runs in {target}")
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
