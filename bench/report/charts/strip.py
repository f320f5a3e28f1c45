"""A strip of frames for each class of an episode, as the methods see them.

The frames are taken at segment centres: those of the first support video of each class and, beside
them, those of its first query. Whether a picture of real videos may be shared depends on their
licence.
"""

import numpy as np
from matplotlib.figure import Figure

from bench.features.clips import read_clip
from bench.machine.progress import Reporter
from bench.report.charts.catalogue import ChartOfOneBank, bank_of
from bench.report.charts.style import INK, TEXT, WIDE
from episodes.banks.bank import Bank

FRAMES = 10
"""Number of frames of a class, shared by support and query if both are drawn."""
LEFT, GAP = 0.13, 0.02
"""Fractions of the width: for the names of classes, and between support and query."""
HEAD = 0.22
"""Inches above the frames for the headings."""


def strip(bank: Bank, inches: float = WIDE) -> Figure:
    """Draw the first episode of a bank, whose videos are here: a line of frames for each class.

    If a class has no query, only the support is drawn.

    Raises:
        UserError: a video is missing or cannot be decoded.
    """
    labels = bank.episodes.labels[0]
    shown = {"support": bank.episodes.support[0, :, 0]}
    if len(np.unique(labels)) == bank.recipe.way:
        first = [int(np.flatnonzero(labels == way)[0]) for way in range(bank.recipe.way)]
        shown["query"] = bank.episodes.query[0, first]
    frames = FRAMES // len(shown)
    videos = [bank.split.videos[index] for index in np.concatenate(list(shown.values()))]
    with Reporter().stage("prepare videos") as progress:
        files = bank.source.files(bank.split.name, videos, progress)
    clips = [read_clip(file, frames, "segment-centres") for file in files]
    lines = len(shown["support"])
    height, width = clips[0].shape[1:3]
    across = frames * len(shown)
    room = (1 - LEFT - GAP * (len(shown) - 1)) / across
    line = inches * room * height / width * 1.02
    tall = line * lines + HEAD
    figure = Figure(figsize=(inches, tall))
    for number, clip in enumerate(clips):
        side, row = divmod(number, lines)
        for column, frame in enumerate(clip):
            left = LEFT + GAP * side + room * (side * frames + column)
            bottom = 1 - (HEAD + (row + 1) * line) / tall
            axes = figure.add_axes((left, bottom, 0.985 * room, 0.98 * line / tall))
            axes.imshow(frame)
            axes.axis("off")
    for row, video in enumerate(videos[:lines]):
        y = 1 - (HEAD + (row + 0.5) * line) / tall
        label = video.label.replace("-", "\n", 1)
        figure.text(0.005, y, label, va="center", fontsize=TEXT - 1, color=INK)
    for side, heading in enumerate(shown):
        left = LEFT + side * (GAP + room * frames)
        figure.text(left, 1 - 0.5 * HEAD / tall, heading, va="center", fontsize=TEXT, color=INK)
    return figure


CHARTS = {
    "strip": ChartOfOneBank(
        "frames of the first episode: support and query of each class",
        lambda comparison, width: strip(bank_of(comparison), width),
    )
}
