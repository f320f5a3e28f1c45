"""``fvbench submit``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import BankOfRun, OwnVideos, Plugin


def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    out: Annotated[Path, typer.Option(help="File to write, .zip.")],
    bank: BankOfRun = None,
    data: OwnVideos = None,
    plugin: Plugin = None,
) -> None:
    """Pack a run into one file for others to verify.

    For a leaderboard, or to accompany a paper: the .zip holds the run's identity, its rows and the
    figures derived from them. The same run gives the same bytes, and the file names no folder of
    this machine; others check it with `fvbench verify`. It does not contain weights: publish them
    with it if the method was trained.

    exit status
      0  done
      2  nothing written: no run there, several, or one whose bank cannot be drawn here

    Example: fvbench submit results/local/try/otam --out results/local/otam.zip
    """
    from bench.commands.arguments import opener
    from bench.site.submission import pack

    pack(run, out, opener(bank, data))
    typer.echo(f"wrote {out}; `fvbench verify {out}` is how others check it")
