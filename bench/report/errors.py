"""The browser of errors: for any two methods of a bank, who is right on which query.

The page holds what is needed to look: answers and margins of every method on the first episodes,
and, small, some frames of each of their videos.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.comparison.frame import Comparison
from bench.features.clips import read_clip
from bench.machine.progress import Reporter
from bench.runs.by_method import DRAWN
from episodes.banks.bank import Bank
from episodes.errors import UserError

ANSWERS = 240_000
"""Most answers that a page holds, over all methods: it shows the first episodes that fit."""
BYTES = 2 << 20
"""Most that the thumbnails of a bank may take; videos beyond that have none."""
FRAMES, SIDE = 4, 44
"""Of a thumbnail: frames side by side, and the height and width of each in pixels."""


@dataclass(frozen=True)
class Errors:
    """Data for the page's script, and the text about them."""

    name: str
    """Unique on the page."""
    methods: Sequence[str]
    data: dict[str, object]
    """Goes into the page as JSON."""
    note: str


def errors(
    comparison: Comparison, anchor: str, reporter: Reporter | None, thumbnails: bool
) -> Errors | None:
    """Gather answers, and thumbnails where they may be shown.

    Args:
        comparison: of at least two methods, on a bank that is known here.
        anchor: of the bank on the page.
        reporter: told of videos that are made; without it there is no browser of errors.
        thumbnails: whether to show frames of videos that are not drawn by this program.
    """
    bank = comparison.opened
    if bank is None or reporter is None or len(comparison.rows) < 2:
        return None
    asked = bank.episodes.labels.shape[1]
    count = min(len(bank.episodes), max(1, ANSWERS // len(comparison.rows) // asked))
    support, query = bank.episodes.support[:count], bank.episodes.query[:count]
    used, places = np.unique(np.concatenate([support.ravel(), query.ravel()]), return_inverse=True)
    labels = [bank.split.videos[index].label for index in used]
    classes = sorted(set(labels))
    pictures, why = _pictures(bank, used, reporter, thumbnails)
    rows = [one.first.rows.iloc[: count * asked] for one in comparison.methods]
    data: dict[str, object] = {
        "methods": [row.title for row in comparison.rows],
        "way": bank.recipe.way,
        "shot": bank.recipe.shot,
        "queries": asked,
        "numbers": bank.numbers[:count].tolist(),
        "classes": classes,
        "labels": [classes.index(label) for label in labels],
        "support": places[: support.size].tolist(),
        "query": places[support.size :].tolist(),
        "right": bank.episodes.labels[:count].ravel().tolist(),
        "answers": [one["prediction"].to_numpy().tolist() for one in rows],
        "margins": [_packed(one["margin"].to_numpy()) for one in rows],
        "pictures": pictures,
        "height": SIDE,
        "width": SIDE * FRAMES,
    }
    shown = "all" if count == len(bank.episodes) else f"the first {count:,}"
    note = f"Over {shown} episodes; a method of several trainings shows its first. "
    margins = "Margin: best score minus second best, in each method's own scale."
    return Errors(f"{anchor}-errors", data["methods"], data, f"{note}{margins} {why}".strip())  # type: ignore[arg-type]


def _packed(margins: NDArray[np.float32]) -> str | None:
    """Margins as base64 of float32 in one byte order; None where they were not kept."""
    if np.isnan(margins).any():
        return None
    return base64.b64encode(margins.astype("<f4").tobytes()).decode()


def _pictures(
    bank: Bank, used: NDArray[np.int32], reporter: Reporter, thumbnails: bool
) -> tuple[list[str], str]:
    """A strip of frames for each video, as many as there is room for, or why there are none."""
    if bank.recipe.dataset != DRAWN and not thumbnails:
        return [], "Frames of videos that are not drawn here are left out; --thumbnails shows them."
    videos = [bank.split.videos[index] for index in used]
    found: list[str] = []
    room = BYTES
    try:
        with reporter.stage("prepare videos") as progress:
            files = bank.source.files(bank.recipe.split, videos, progress)
        with reporter.stage("thumbnails") as progress:
            for number, file in enumerate(files):
                found.append(_strip(read_clip(file, FRAMES, "segment-centres")))
                room -= len(found[-1])
                progress(number + 1, len(files))
                if room < 0:
                    room_for = f"{len(found):,} of {len(files):,} videos"
                    return found, f"There is room for frames of {room_for}."
    except UserError as error:
        return [], f"No frames: {error}"
    return found, ""


def _strip(clip: NDArray[np.uint8]) -> str:
    """Frames (4, height, width, 3) beside each other, the centre square of each, as a data URI."""
    _, height, width, _ = clip.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    strip = Image.new("RGB", (SIDE * FRAMES, SIDE))
    for place, frame in enumerate(clip):
        square = Image.fromarray(frame[top : top + side, left : left + side])
        strip.paste(square.resize((SIDE, SIDE), Image.Resampling.BOX), (place * SIDE, 0))
    with io.BytesIO() as file:
        strip.save(file, format="webp", quality=60)
        return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
