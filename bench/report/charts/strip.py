"""A strip of frames for each class of an episode, as the methods see them.

    python -m bench.report.charts.strip default docs/rendered-strip.jpg

Draws the first support video of each class of a bank's first episode, or of another: frames at the
middle of equal parts of the video, in order. Videos of real data sets are drawn as well; whether
the picture may be passed on is said by their licence, not by this program.
"""

from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from bench.features.clips import read_clip
from bench.machine.progress import Reporter
from bench.report.charts.saving import save_figure
from bench.report.charts.style import INK, TEXT, WIDE
from episodes.banks.bank import Bank, open_bank
from episodes.errors import UserError

FRAMES = 8


def strip(bank: Bank, episode: int) -> Figure:
    """Draw one episode of a bank.

    Raises:
        UserError: a video is not there, or cannot be decoded.
    """
    support = bank.episodes.support[episode, :, 0]
    videos = [bank.split.videos[index] for index in support]
    with Reporter().stage("prepare videos") as progress:
        files = bank.source.files(bank.split.name, videos, progress)
    clips = [read_clip(file, FRAMES, "segment-centres") for file in files]
    height, width = clips[0].shape[1:3]
    figure = Figure(figsize=(WIDE, WIDE * height / width / FRAMES * len(clips) * 1.05 + 0.1))
    for row, (video, clip) in enumerate(zip(videos, clips, strict=True)):
        for column, frame in enumerate(clip):
            axes = figure.add_axes(
                (
                    0.13 + 0.87 * column / FRAMES,
                    1 - (row + 1) / len(clips),
                    0.86 / FRAMES,
                    0.98 / len(clips),
                )
            )
            axes.imshow(frame)
            axes.axis("off")
        label = video.label.replace("-", "\n", 1)
        y = 1 - (row + 0.5) / len(clips)
        figure.text(0.005, y, label, va="center", fontsize=TEXT - 1, color=INK)
    return figure


def main(
    bank: Annotated[str, typer.Argument(help="A bank whose videos are here.")],
    out: Annotated[Path, typer.Argument(help="File to write: .png, .svg or .pdf.")],
    episode: Annotated[int, typer.Option(help="Which episode, from 0.", min=0)] = 0,
) -> None:
    """Draw a strip of frames for each class of an episode."""
    try:
        save_figure(strip(open_bank(bank, episode + 1), episode), out)
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
