"""``fvbench parity``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from bench.commands.options import Json, Plugin, print_result


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
    from bench.conformance.parity import check, exit_status
    from bench.plugins.registry import all_methods

    all_methods()
    if training:
        from bench.training.parity import check_training

        steps = [result for file in files for result in check_training(file)]
        records = [asdict(step) for step in steps]
        status = int(not all(step.ok for step in steps))
        lines = [
            {
                "file": step.file,
                "check": step.check,
                "miss": f"{step.miss:.1e}",
                "allowed": f"{step.allowed:.0e}",
                "verdict": "ok" if step.ok else f"NOT EQUAL: {step.where}",
            }
            for step in steps
        ]
    else:
        results = [result for file in files for result in check(file)]
        records = [asdict(result) for result in results]
        status = exit_status(results)
        lines = [
            {
                "file": result.file,
                "output": result.output,
                "shape": " x ".join(map(str, result.shape)) or "scalar",
                "difference": "" if result.difference is None else f"{result.difference:.1e}",
                "tolerance": f"{result.tolerance:.0e}",
                "verdict": f"{result.status} {result.reason}".strip(),
            }
            for result in results
        ]
    print_result(records if json else tabulate(lines, "keys", "simple", disable_numparse=True))
    raise typer.Exit(status)
