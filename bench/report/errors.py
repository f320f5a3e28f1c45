"""The browser of errors: on which queries each of two methods of a bank is right.

The page holds answers and margins of every method on the first episodes, and thumbnails of their
videos.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.comparison.frame import Comparison
from bench.features.clips import read_clip
from bench.machine.progress import Reporter
from bench.report.cases.drawing import centre_square
from bench.runs.by_method import DRAWN
from episodes.banks.bank import Bank
from episodes.decoding.clips import Clip
from episodes.errors import UserError
from episodes.split import Video

ANSWERS = 240_000
"""Most answers that a page holds, over all methods: it shows the first episodes that fit."""
BYTES = 2 << 20
"""Most bytes of a bank's thumbnails; videos beyond that have none."""
FRAMES, SIDE = 4, 44
"""Number of frames of a thumbnail, and the height and width of each in pixels."""


@dataclass(frozen=True)
class Errors:
    """Data for the page's script, and a note."""

    name: str
    """Unique on the page."""
    data: Mapping[str, object]
    """Goes into the page as JSON."""
    note: str


def errors(
    comparison: Comparison, anchor: str, reporter: Reporter | None, thumbnails: bool
) -> Errors | None:
    """Collect answers, and thumbnails where they may be shown.

    None for a single method, a bank that is not known here, or without a reporter, since videos may
    have to be made.
    """
    bank = comparison.opened
    if bank is None or reporter is None or len(comparison.rows) < 2:
        return None
    queries = bank.episodes.labels.shape[1]
    count = min(len(bank.episodes), max(1, ANSWERS // len(comparison.rows) // queries))
    support, query = bank.episodes.support[:count], bank.episodes.query[:count]
    used, places = np.unique(np.concatenate([support.ravel(), query.ravel()]), return_inverse=True)
    videos = [bank.split.videos[index] for index in used]
    classes, labels = np.unique([video.label for video in videos], return_inverse=True)
    pictures, why = _pictures(bank, videos, reporter, thumbnails)
    rows = [one.first.rows.iloc[: count * queries] for one in comparison.methods]
    data = {
        "methods": [row.title for row in comparison.rows],
        "way": bank.recipe.way,
        "shot": bank.recipe.shot,
        "queries": queries,
        "numbers": bank.numbers[:count].tolist(),
        "classes": classes.tolist(),
        "labels": labels.tolist(),
        "support": places[: support.size].tolist(),
        "query": places[support.size :].tolist(),
        "right": bank.episodes.labels[:count].ravel().tolist(),
        "answers": [one["prediction"].tolist() for one in rows],
        "margins": [_packed(one["margin"].to_numpy()) for one in rows],
        "pictures": pictures,
        "height": SIDE,
        "width": SIDE * FRAMES,
    }
    shown = "all" if count == len(bank.episodes) else f"the first {count:,}"
    note = (
        f"Over {shown} episodes; a method of several trainings shows its first. Margin: best score"
        f" minus second best, in each method's own scale. {why}"
    )
    return Errors(f"{anchor}-errors", data, note.strip())


def _packed(margins: NDArray[np.float32]) -> str | None:
    """Margins as base64 of float32 in one byte order; None where they were not kept."""
    if np.isnan(margins).any():
        return None
    return base64.b64encode(margins.astype("<f4").tobytes()).decode()


def _pictures(
    bank: Bank, videos: Sequence[Video], reporter: Reporter, thumbnails: bool
) -> tuple[list[str], str]:
    """Thumbnails of the first videos that fit, and a note on those without."""
    if bank.recipe.dataset != DRAWN and not thumbnails:
        return [], (
            "Frames of videos that this program did not draw are left out; --thumbnails shows them."
        )
    strips: list[str] = []
    try:
        with reporter.stage("prepare videos") as progress:
            files = bank.source.files(bank.recipe.split, videos, progress)
        with reporter.stage("thumbnails") as progress:
            for number, file in enumerate(files, start=1):
                strips.append(_strip(read_clip(file, FRAMES, "segment-centres")))
                progress(number, len(files))
                if sum(map(len, strips)) > BYTES:
                    fitting = f"{len(strips):,} of {len(files):,} videos"
                    return strips, f"There is room for frames of {fitting}."
    except UserError as error:
        return [], f"No frames: {error}"
    return strips, ""


def _strip(clip: Clip) -> str:
    """The centre squares of frames (4, height, width, 3) side by side, as a data URI."""
    squares = Image.fromarray(np.hstack([centre_square(frame) for frame in clip]))
    with io.BytesIO() as file:
        strip = squares.resize((SIDE * FRAMES, SIDE), Image.Resampling.BOX)
        strip.save(file, format="webp", quality=60)
        return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
