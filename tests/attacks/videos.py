"""Video files that are damaged at any place, read by processes of their own.

A mutant is *named* if it is refused, *harmless* if the same pixels come out, and *another input*
if others do: containers hold no checksums of pixels, so that only the hash of a file, which stands
in the features' key, tells it from the sound one. None may end this process, or go on for ever.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from episodes.decoding import process as decoding_process
from episodes.decoding.clips import examine
from episodes.errors import UserError
from tests.attacks.files import damaged
from tests.attacks.outcomes import Tally
from tests.conftest import make_video
from tests.video_files import decoded

LARGE = 2000
FRAMES = 8
LIMIT = 5.0
"""Seconds without a frame, instead of a minute."""
CODECS = {"mp4": "libx264", "avi": "mpeg4", "webm": "libvpx-vp9", "mkv": "ffv1"}


def main(mutants: int) -> Iterator[Tally]:
    """Damage videos of four kinds, and read each with both readers and by strict inspection."""
    with tempfile.TemporaryDirectory() as name:
        for suffix in CODECS:
            yield attack(suffix, Path(name), max(1, mutants // len(CODECS)))


def attack(suffix: str, folder: Path, mutants: int, seed: int = 0) -> Tally:
    """Damage a video so many times; half of the damage in the first 4 KiB, where headers are."""
    tally = Tally(f"videos: {suffix}, {CODECS[suffix]}")
    draw = random.Random(f"{suffix} {seed}")  # noqa: S311 - it damages files
    sound = make_video(folder / f"sound.{suffix}", 12, (64, 64), CODECS[suffix])
    content, expected = sound.read_bytes(), decoded(sound, FRAMES, "segment-centres")
    path = folder / f"mutant.{suffix}"
    limit, decoding_process.TIME_LIMIT = decoding_process.TIME_LIMIT, LIMIT
    try:
        for number in range(mutants):
            head = content[:4096] if draw.random() < 0.5 else content
            path.write_bytes(damaged(head, draw) + content[len(head) :])
            since = time.monotonic()
            try:
                found = decoded(path, FRAMES, "segment-centres")
                examine(path)
            except UserError as error:
                outcome, words = "named", str(error)
            except Exception as error:
                outcome, words = "traceback", f"{type(error).__name__}: {error}"
            else:
                same = found.shape == expected.shape and np.array_equal(found, expected)
                outcome, words = ("harmless" if same else "another input"), ""
            if "Traceback" in words or ("named" in outcome and path.name not in words):
                outcome = "traceback"
            if time.monotonic() - since > 12 * LIMIT:
                outcome = "hang"
            tally.add(outcome, f"mutant {number}: {words}")  # type: ignore[arg-type]
    finally:
        decoding_process.TIME_LIMIT = limit
    return tally
