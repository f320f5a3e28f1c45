"""The command line: ``fvbench`` and ``python -m bench``."""

import inspect
import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fvbench import check_place

check_place()  # before the imports that would take another package for ours

from bench import __version__
from bench.commands import bank, cache, data, features
from bench.commands.cases import cases
from bench.commands.check import check_backbone, check_method
from bench.commands.cite import cite
from bench.commands.compare import compare
from bench.commands.doctor import doctor
from bench.commands.figures import figures
from bench.commands.gate import gate
from bench.commands.listing import list_
from bench.commands.new_plugin import new_backbone, new_method
from bench.commands.options import Command
from bench.commands.parity import parity
from bench.commands.power import power
from bench.commands.publish import publish
from bench.commands.report import report
from bench.commands.run import run
from bench.commands.submit import submit
from bench.commands.tables import tables
from bench.commands.throughput import throughput
from bench.commands.train import train
from bench.commands.train_backbone import train_backbone
from bench.commands.verify import verify
from episodes.errors import UserError, in_words, shown

MAKING = (run, train, train_backbone, list_, doctor)
READING = (tables, compare, gate, power, figures, report, cases, publish, submit, verify, cite)
EXTENDING = (check_method, check_backbone, new_method, new_backbone, parity, throughput)
GROUPS: dict[str, tuple[str, tuple[Callable[..., None], ...]]] = {
    "bank": (
        "Show, verify, make and export banks.",
        (bank.show, bank.verify, bank.new, bank.freeze, bank.export),
    ),
    "data": ("Register datasets, and check them.", (data.add, data.verify)),
    "features": ("Features for use elsewhere.", (features.export,)),
    "cache": ("Look at the cache, and clean it.", (cache.show, cache.clean)),
}
"""Commands of two words: the first -> its help, and the functions named like the second."""
JOBS = ("run", "train")
"""Commands that several processes started by torchrun can share."""
ROOT = Path(__file__).parents[1]
INTERRUPTED, DEFECT = 130, 3
"""Exit statuses: a defect is not 1, which says that a check failed, as of a run that is worse."""
SPEAKS_LATER = 10
"""Seconds after which another process of a job than the first says why it ends."""
TRACEBACK = "FVBENCH_TRACEBACK"
"""Environment variable that asks for the traceback of a defect."""


class _Guarded(TyperGroup):
    """Turns every exception into one message, and Ctrl-C into advice.

    Control characters in names of files and folders are spelled out before a terminal sees them.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            with _spelled_out(sys.stdout), _spelled_out(sys.stderr):
                return super().invoke(ctx)
        except UserError as error:
            raise _ended(str(error), 2) from error
        except BrokenPipeError:  # the reader has read enough: `fvbench list | head`
            raise
        except OSError as error:
            raise _ended(f"{error}; choose another place or correct this one", 2) from error
        except MemoryError as error:
            raise _ended("there is not enough memory for this", 2) from error
        except KeyboardInterrupt as error:
            message = (
                "interrupted; what is finished is kept, and the same command goes on from there"
            )
            print(f"\n{message}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            of_typer = type(error).__module__.partition(".")[0] in {"typer", "click"}
            if of_typer:
                raise
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            raise _ended(_unexpected(error), DEFECT) from error


def _ended(message: str, status: int) -> typer.Exit:
    """Print why the command ends, and return the exception that ends it.

    The processes of a job are refused alike. Once the first has ended, torchrun ends the others.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        time.sleep(SPEAKS_LATER)
    print(f"error: {shown(message)}", file=sys.stderr)  # noqa: T201
    return typer.Exit(status)


def _unexpected(error: Exception) -> str:
    """The message for an exception that nobody foresaw, with the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)] or frames
    place = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
    return (
        f"a defect of this program, or of a plugin: {in_words(error)} ({place});"
        f" please report it to the maintainers of fewshot-video-bench {__version__}, with the"
        f" command and what {TRACEBACK}=1 before it shows"
    )


@contextmanager
def _spelled_out(stream: Any) -> Iterator[None]:
    """Spell out control characters, except on a terminal's stderr: progress bars need them."""
    if stream is sys.stderr and stream.isatty():
        yield
        return
    write = stream.write
    stream.write = lambda text: write(shown(text) if isinstance(text, str) else text)
    try:
        yield
    finally:
        del stream.write


def _add(commands: tuple[Callable[..., None], ...], group: typer.Typer) -> None:
    """Add functions as commands; a docstring is the help, its last paragraph an example.

    Typer wraps paragraphs anew unless they begin with a backspace: lists and examples do.
    """
    for command in commands:
        *paragraphs, example = inspect.cleandoc(command.__doc__ or "").split("\n\n")
        words = "\n\n".join(f"\b\n{part}" if "\n  " in part else part for part in paragraphs)
        name = command.__name__.strip("_").replace("_", "-")
        group.command(name, cls=Command, help=words, epilog=f"\b\n{example}")(command)


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
_add((*MAKING, *READING, *EXTENDING), app)
for name, (words, commands) in GROUPS.items():
    group = typer.Typer(help=words, no_args_is_help=True)
    _add(commands, group)
    app.add_typer(group, name=name)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An encoding without the signs of a table must not cost the table.
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
