"""A strip of frames for each class of an episode, as the methods see them.

    python -m bench.report.charts.strip default docs/rendered-strip.jpg

Draws the first support video of each class of a bank's first episode, or of another: frames at the
middle of equal parts of the video, in order. Videos of real data sets are drawn as well; whether
the picture may be passed on is said by their licence, not by this program.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from PIL import Image

from bench.features.clips import read_clip
from bench.machine.progress import Reporter
from bench.report.charts.style import INK, TEXT, WIDE, save_figure
from episodes.atomic import replacing
from episodes.banks.bank import Bank, open_bank
from episodes.errors import UserError

FRAMES = 8
EACH = 5
"""Frames of the support video, and of the query, where both are drawn."""
LEFT, GAP = 0.13, 0.02
"""Parts of the width: for the names of classes, and between support and query."""
HEAD = 0.22
"""Inches above the frames for what they are, where both are drawn."""


def strip(bank: Bank, episode: int, with_queries: bool = False) -> Figure:
    """Draw one episode of a bank: a line of frames for each class.

    Args:
        bank: whose videos are here.
        episode: which, from 0.
        with_queries: draw beside the support video of a class the first query of it.

    Raises:
        UserError: a video is not there, or cannot be decoded.
    """
    shown = [bank.episodes.support[episode, :, 0]]
    if with_queries:
        labels = bank.episodes.labels[episode]
        ways = range(bank.recipe.way)
        if missing := [way for way in ways if way not in labels]:
            raise UserError(
                f"episode {episode} of {bank.recipe.name} has no query of {len(missing)} of its"
                " classes; leave --queries out, or take a bank with queries of every class"
            )
        first = [int(np.flatnonzero(labels == way)[0]) for way in ways]
        shown.append(bank.episodes.query[episode, first])
    frames = EACH if with_queries else FRAMES
    videos = [bank.split.videos[index] for index in np.concatenate(shown)]
    with Reporter().stage("prepare videos") as progress:
        files = bank.source.files(bank.split.name, videos, progress)
    clips = [read_clip(file, frames, "segment-centres") for file in files]
    lines = len(shown[0])
    height, width = clips[0].shape[1:3]
    across = frames * len(shown)
    room = (1 - LEFT - GAP * (len(shown) - 1)) / across
    line = WIDE * room * height / width * 1.02
    head = HEAD if with_queries else 0.0
    tall = line * lines + head
    figure = Figure(figsize=(WIDE, tall))
    for number, clip in enumerate(clips):
        side, row = divmod(number, lines)
        for column, frame in enumerate(clip):
            left = LEFT + GAP * side + room * (side * frames + column)
            bottom = 1 - (head + (row + 1) * line) / tall
            axes = figure.add_axes((left, bottom, 0.985 * room, 0.98 * line / tall))
            axes.imshow(frame)
            axes.axis("off")
    for row, video in enumerate(videos[:lines]):
        y = 1 - (head + (row + 0.5) * line) / tall
        label = video.label.replace("-", "\n", 1)
        figure.text(0.005, y, label, va="center", fontsize=TEXT - 1, color=INK)
    for side, words in enumerate(("support", "query") if with_queries else ()):
        left = LEFT + side * (GAP + room * frames)
        figure.text(left, 1 - 0.5 * head / tall, words, va="center", fontsize=TEXT, color=INK)
    return figure


def _shrink(path: Path) -> None:
    """Keep 256 colours: half the bytes, and nobody sees the difference."""
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    with replacing(path) as unfinished:
        few.save(unfinished, format="png", optimize=True)


def main(
    bank: Annotated[str, typer.Argument(help="A bank whose videos are here.")],
    out: Annotated[Path, typer.Argument(help="File to write: .png, .svg or .pdf.")],
    episode: Annotated[int, typer.Option(help="Which episode, from 0.", min=0)] = 0,
    queries: Annotated[bool, typer.Option("--queries", help="A query of each class too.")] = False,
) -> None:
    """Draw a strip of frames for each class of an episode."""
    try:
        save_figure(strip(open_bank(bank, episode + 1), episode, queries), out)
        if out.suffix == ".png":
            _shrink(out)
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
