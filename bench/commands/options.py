"""What several commands share: options, what these do first, and how results are printed."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from episodes.errors import UserError, note

if TYPE_CHECKING:
    from bench.comparison.frame import Comparison
    from bench.runs.schema import Failure

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN", help="Run directories, or folders of them.")
]
RunsOrRows = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Run directories, folders of them, or files of rows."),
]
Json = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
Device = Annotated[
    str,
    typer.Option(help="Where to compute: cpu, cuda, cuda:N, or auto for a GPU if there is one."),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder for rendered videos and features; default $FVBENCH_CACHE, or the platform's"
        " cache folder."
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="Name (see `fvbench list backbones`), or NAME=WHERE with the location of its weights."
    ),
]
Sampling = Annotated[
    str | None,
    typer.Option(
        help="How to sample a clip's frames: segment-centres (the methods' default) or linspace;"
        " `3 x linspace` averages the maps of three clips of each video."
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(
        help="Picture size before the centre crop: the short side (256), or height and width to"
        " stretch to (256x256); default: what the backbone states."
    ),
]
Decoder = Annotated[
    str | None,
    typer.Option(
        help="Video reader: decord or av (PyAV); default: decord if it is installed. PyAV always"
        " reads the videos that decord misreads."
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(
        help="Features computed elsewhere, in place of a backbone: a folder with CLASS/VIDEO.npy"
        " for each video, or a table (.npz, .safetensors, or .npy with names in a .txt)."
    ),
]
Text = Annotated[
    Path | None,
    typer.Option(
        help="Text features of class names, computed elsewhere, for methods that read names:"
        " .csv (a name and its vector in each line) or .npz (names, vectors)."
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="Prompt template for class names, such as 'a video of {}'; default: that of the"
        " backbone's text tower."
    ),
]
Plugin = Annotated[
    list[Path] | None,
    typer.Option(
        help="A file, or a folder of files, with additional methods, backbones or data sets."
    ),
]

Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="Do without the faster forms of methods (methods/fast/), which give the same answers.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Method that the others are compared with; default: protonet, or the first by name."
    ),
]
Family = Annotated[
    Path | None,
    typer.Option(
        help="TOML file that names the comparisons of a study, written before it is run:"
        ' comparisons = [["otam", "protonet"], ...]. Only these are then judged.'
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="A folder of your own videos, CLASS/VIDEO.mp4, instead of a bank: one is drawn over"
        " all its classes."
    ),
]
Episodes = Annotated[
    int | None,
    typer.Option(
        help="Number of episodes, from the first; default: as many as the bank states. A larger"
        " number continues the same random stream."
    ),
]
BankOfRun = Annotated[
    str | None, typer.Option(help="The run's bank, if that was given as a recipe file.")
]
OwnVideos = Annotated[
    Path | None, typer.Option(help="Folder of your own videos that the runs were made on.")
]


def at_home(word: str) -> str:
    """Return an argument with its leading ``~``, or that behind ``--option=``, expanded.

    An unknown user's, as in ``~nobody``, stays as it is.

    >>> at_home("--out=~/runs") == f"--out={Path.home()}/runs"
    True
    """
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={os.path.expanduser(value)}"  # noqa: PTH111 - pathlib raises an error
    return os.path.expanduser(word)  # noqa: PTH111


def print_result(result: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print text, or anything else as the one JSON document that ``--json`` stands for."""
    if not isinstance(result, str):
        from episodes.schema import dump

        result = dump(result)
    typer.echo(result.removesuffix("\n"))


def print_comparisons(
    comparisons: "Sequence[Comparison]", failures: "Sequence[Failure]", style: str, json: bool
) -> None:
    """Print comparisons as a table that fits the terminal, if there is one, or as JSON.

    JSON has every failure: a bank on which all methods failed has no comparison.
    """
    from bench.comparison.tables import render

    if json:
        banks = [comparison.content() for comparison in comparisons]
        failed = [one.model_dump(include={"bank", "method", "reason"}) for one in failures]
        print_result({"banks": banks, "failed": failed})
    elif comparisons:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print_result(render(comparisons, style, width))


class Command(TyperCommand):
    """A command, which first applies the options that it shares with others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Expand ``~``, too, in ``--option=~/folder``, where shells leave that to the command."""
        return super().parse_args(ctx, [at_home(word) for word in args])

    def invoke(self, ctx: Any) -> object:
        """Set the cache folder, of other processes too, and load plugins; then do the command."""
        if (cache := ctx.params.get("cache")) is not None:
            from episodes.cache import ENVIRONMENT_VARIABLE

            os.environ[ENVIRONMENT_VARIABLE] = str(Path(cache).resolve())
        for path in ctx.params.get("plugin") or ():
            _load_plugin(Path(path), ctx.params.get("keep_going"))
        return super().invoke(ctx)


def _load_plugin(path: Path, keep_going: bool | None) -> None:
    """Register the methods, backbones and data sets of a file or folder."""
    # These wait for torch, which commands that read runs do without.
    from bench.machine.surroundings import Surroundings, own_output
    from bench.plugins.registry import load_plugins

    before = Surroundings()
    try:
        with own_output():
            load_plugins([path], leave_out=keep_going)
    finally:
        changed = before.put_back()
    if changed:
        message = (
            f"plugin {path} changed {', '.join(changed[:3])} for the whole process, and so for"
            " every method; it has been put back: correct the plugin"
        )
        if not keep_going:
            raise UserError(message)
        note(message)
