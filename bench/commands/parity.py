"""``fvbench parity``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.options import Json, Plugin, use_plugins


def parity(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.npz", help="Reference files.")],
    training: Annotated[
        bool, typer.Option("--training", help="The files hold training steps.")
    ] = False,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Recompute what authors' own code computed.

    Reference files hold its inputs and outputs. Prints a line for each output of each file: its
    largest absolute difference from ours, the tolerance, and ok, NOT EQUAL, or not implemented with
    the reason.

    With --training the files hold training steps, and are named after the method. Prints a line for
    the losses, the gradients and the state after three steps in float64, and for the gradients in
    float32, each with its largest relative miss, what is allowed, and where the miss is.

    exit status
      0  every output that is implemented is equal
      1  at least one is not equal
      2  nothing could be compared: no such file, or not one of this kind

    Example: fvbench parity tests/golden/mastaf_5way1shot.npz
             fvbench parity --training tests/golden-training/mastaf_5w1s.npz
    """
    from dataclasses import asdict
    from json import dumps

    from bench.conformance.parity import check, exit_status
    from bench.plugins.registry import all_methods
    from episodes.schema import plain

    use_plugins(plugin)
    all_methods()
    if training:
        from bench.training.parity import check_training

        retraced = [result for file in files for result in check_training(file)]
        records = [asdict(result) for result in retraced]
        text, status = _table_of_training(records), int(not all(one.ok for one in retraced))
    else:
        results = [result for file in files for result in check(file)]
        records = [asdict(result) for result in results]
        text, status = _table(records), exit_status(results)
    typer.echo(dumps([plain(record) for record in records], indent=2) if json else text)
    raise typer.Exit(status)


def _table_of_training(records: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    lines = [
        [
            record["file"],
            record["check"],
            f"{record['miss']:.1e}",
            f"{record['allowed']:.0e}",
            "ok" if record["ok"] else f"NOT EQUAL: {record['where']}",
        ]
        for record in records
    ]
    headers = ["file", "check", "miss", "allowed", "verdict"]
    return tabulate(lines, headers=headers, tablefmt="simple", disable_numparse=True)


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
