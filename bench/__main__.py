"""The command line: ``fvbench`` and ``python -m bench``."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.commands import (
    bank,
    cases,
    check_method,
    compare,
    data,
    doctor,
    figures,
    gate,
    listing,
    new_method,
    parity,
    power,
    report,
    run,
    tables,
    throughput,
    train,
)
from episodes.errors import UserError

INTERRUPTED = 130
JOBS = ("run", "train")
"""Commands that several processes can do together, as torchrun starts them."""


class _Guarded(TyperGroup):
    """Turns a user's mistake into one message, and Ctrl-C into advice."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2) from error
        except OSError as error:
            print(f"error: {error}; choose another place or mend this one", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            print(  # noqa: T201
                "\ninterrupted; what is finished is kept, and the same command goes on from there",
                file=sys.stderr,
            )
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_Guarded,
    help="Compare few-shot video methods on fixed, seeded episodes.",
    epilog=(
        "\b\nExample: fvbench run --methods protonet,otam --episodes 500 --out results/local/try"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (
    run,
    tables,
    compare,
    gate,
    power,
    figures,
    report,
    cases,
    listing,
    bank,
    data,
    train,
    parity,
    doctor,
    check_method,
    new_method,
    throughput,
):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fvbench {__version__}")
        raise typer.Exit


@app.callback()
def fvbench(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compare few-shot video methods on fixed, seeded episodes."""
    processes = os.environ.get("WORLD_SIZE", "1") if "TORCHELASTIC_RUN_ID" in os.environ else "1"
    if processes != "1" and context.invoked_subcommand not in JOBS:
        raise UserError(
            f"{processes} processes: `fvbench {context.invoked_subcommand}` is for one, and each"
            f" would do all of it; start it without torchrun, which is for {' and '.join(JOBS)}"
        )


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
