"""``fvbench parity``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Json, Plugin

HELP = """Recompute what authors' own code computed.

Reference files hold its inputs and outputs. Prints a line for each output of
each file: its largest absolute difference from ours, the
tolerance, and ok, NOT EQUAL, or not implemented with the reason.

\b
exit status
  0  every output that is implemented is equal
  1  at least one is not equal
  2  nothing could be compared: no such file, or not one of this kind
"""
EPILOG = "\b\nExample: fvbench parity tests/golden/mastaf_5way1shot.npz"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parity", help=HELP, epilog=EPILOG)(parity)


def parity(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.npz", help="Reference files.")],
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Recompute reference outputs."""
    from dataclasses import asdict
    from json import dumps

    from bench.parity import check, exit_status
    from bench.registry import all_methods
    from bench.run_directory import plain

    all_methods(plugin or [])
    results = [result for file in files for result in check(file)]
    if json:
        typer.echo(dumps([plain(asdict(result)) for result in results], indent=2))
    else:
        typer.echo(_table([asdict(result) for result in results]))
    raise typer.Exit(exit_status(results))


def _table(records: list[dict[str, object]]) -> str:
    from tabulate import tabulate

    lines = [
        [
            record["file"],
            record["output"],
            " x ".join(map(str, record["shape"])) or "scalar",  # type: ignore[call-overload]
            "" if record["difference"] is None else f"{record['difference']:.1e}",
            "" if record["tolerance"] is None else f"{record['tolerance']:.0e}",
            f"{record['status']} {record['reason']}".strip(),
        ]
        for record in records
    ]
    headers = ["file", "output", "shape", "difference", "tolerance", "verdict"]
    return tabulate(lines, headers=headers, tablefmt="simple", disable_numparse=True)
