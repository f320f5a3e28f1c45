"""The command line: ``fvbench`` and ``python -m bench``."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fvbench import refuse_others

refuse_others()  # before the imports that would take another package for ours

from bench import __version__
from bench.commands import (
    bank,
    cache,
    cases,
    check_backbone,
    check_method,
    cite,
    compare,
    data,
    doctor,
    features,
    figures,
    gate,
    listing,
    new_plugin,
    parity,
    power,
    publish,
    report,
    run,
    submit,
    tables,
    throughput,
    train,
    verify,
)
from episodes.errors import UserError, in_words, shown

ROOT = Path(__file__).parents[1]
INTERRUPTED = 130
JOBS = ("run", "train")
"""Commands that several processes can do together, as torchrun starts them."""


DEFECT = 3
TRACEBACK = "FVBENCH_TRACEBACK"
"""Environment variable that asks for the traceback of a defect."""


class _Guarded(TyperGroup):
    """Turns whatever goes wrong into one message, and Ctrl-C into advice.

    Names from files and folders that would steer a terminal are spelled out.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            with _spelled_out(sys.stdout), _spelled_out(sys.stderr):
                return super().invoke(ctx)
        except UserError as error:
            raise _ended(str(error), 2) from error
        except BrokenPipeError:  # whoever read has read enough: `fvbench list | head`
            raise
        except OSError as error:
            raise _ended(f"{error}; choose another place or mend this one", 2) from error
        except MemoryError as error:
            raise _ended("there is not enough memory for this", 2) from error
        except KeyboardInterrupt as error:
            print(  # noqa: T201
                "\ninterrupted; what is finished is kept, and the same command goes on from there",
                file=sys.stderr,
            )
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in {"typer", "click"}:
                raise
            if os.environ.get(TRACEBACK):
                raise
            raise _ended(_unexpected(error), DEFECT) from error


def _ended(message: str, status: int) -> typer.Exit:
    """Say why the command ends, and return what ends it."""
    print(f"error: {shown(message)}", file=sys.stderr)  # noqa: T201
    return typer.Exit(status)


def _unexpected(error: Exception) -> str:
    """What is said of an exception that nobody foresaw, with the line that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if Path(one.filename).is_relative_to(ROOT)] or frames
    place = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
    return (
        f"a defect of this program, or of a plugin: {in_words(error)} ({place});"
        f" please report it to the maintainers of fewshot-video-bench {__version__}, with the"
        f" command and what {TRACEBACK}=1 before it shows"
    )


@contextmanager
def _spelled_out(stream: Any) -> Iterator[None]:
    """Spell out what would steer a terminal; a terminal's stderr shows bars, which need that."""
    if stream is sys.stderr and stream.isatty():
        yield
        return
    write = stream.write
    stream.write = lambda text: write(shown(text) if isinstance(text, str) else text)
    try:
        yield
    finally:
        del stream.write


app = typer.Typer(
    cls=_Guarded,
    help="Compare few-shot video methods on fixed, seeded episodes.",
    epilog=(
        "\b\nExample: fvbench run --methods protonet,otam --episodes 500 --out results/local/try"
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    publish,
    submit,
    verify,
    cite,
    cases,
    listing,
    bank,
    data,
    features,
    cache,
    train,
    parity,
    doctor,
    check_method,
    check_backbone,
    new_plugin,
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
