"""Options that several commands share, so that they mean the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
Device = Annotated[
    str,
    typer.Option(help="Where to compute: cpu, cuda, cuda:N, or auto for a GPU if there is one."),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder for rendered videos and features; default $FVBENCH_CACHE, or the platform's"
        " place for caches.",
        show_default=False,
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="Name, see `fvbench list backbones`, or NAME=WHERE with the place of its weights."
    ),
]
Sampling = Annotated[
    str | None,
    typer.Option(
        help="Frames of a clip: segment-centres (what methods take if left out) or linspace;"
        " `3 x linspace` averages the maps of three clips of each video.",
        show_default=False,
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(
        help="Size of pictures before the centre is cut out: the short side (256), or height and"
        " width to stretch to (256x256); what the backbone states if left out.",
        show_default=False,
    ),
]
Decoder = Annotated[
    str | None,
    typer.Option(
        help="What reads video files: decord or av (PyAV); decord where it is installed if left"
        " out. A video that decord does not read right is read by PyAV in any case.",
        show_default=False,
    ),
]
Text = Annotated[
    Path | None,
    typer.Option(
        help="Text features of the classes' names for methods that read them, computed elsewhere:"
        " .csv (name, then its numbers) or .npz (names, vectors).",
        show_default=False,
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="Template that the backbone's text tower reads a name in, such as 'a video of {}';"
        " the tower's own if left out.",
        show_default=False,
    ),
]
Plugin = Annotated[
    list[Path] | None,
    typer.Option(
        help="A file, or a folder of files, with further methods, backbones or data sets.",
        show_default=False,
    ),
]

Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="Leave out the quicker forms of methods (methods/fast/), which answer the same.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Method the others are compared with; protonet, or the first by name.",
        show_default=False,
    ),
]
Family = Annotated[
    Path | None,
    typer.Option(
        help="TOML file that names the comparisons of a study, written before it is run:"
        ' comparisons = [["otam", "protonet"], ...]. Nothing else is judged then.',
        show_default=False,
    ),
]
OwnVideos = Annotated[
    Path | None,
    typer.Option(help="Folder of your own videos that the runs were made on.", show_default=False),
]


def use_cache(folder: Path | None) -> None:
    """Make a command, and the processes it starts, use another cache folder."""
    import os

    from episodes.cache import ENVIRONMENT_VARIABLE

    if folder is not None:
        os.environ[ENVIRONMENT_VARIABLE] = str(folder.resolve())


def use_plugins(paths: list[Path] | None, keep_going: bool | None = None) -> None:
    """Load the files of ``--plugin``: their methods, backbones and data sets are known then."""
    from bench.plugins.registry import load_plugins

    if paths:
        load_plugins(paths, leave_out=keep_going)
