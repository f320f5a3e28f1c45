"""Inspection of one video: whether it can be decoded, its length, and what is odd about it."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from episodes.decoding.clips import decode_each, decoder_identity, examine
from episodes.decoding.frames import read_frames, reader_identity
from episodes.decoding.media import frames_of
from episodes.decoding.memory import recalled, remembered
from episodes.errors import UserError
from episodes.split import Progress

VERSION = 3
CONTAINERS = {
    ".avi": "avi",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".webm": "webm",
    ".mkv": "matroska",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".flv": "flv",
}
"""What libav calls the container that a suffix promises."""


@dataclass(frozen=True)
class Inspection:
    """What the inspection of a video found."""

    frames: int
    """0 if it cannot be decoded."""
    error: str
    """Why it cannot be used; empty if it can."""
    remark: str
    """What is odd about it; empty if nothing is."""


def inspections(root: Path, paths: Sequence[Path], progress: Progress) -> dict[Path, Inspection]:
    """Inspect videos below a root, files or folders of frames, that have changed since the last.

    Those that could not be decoded are inspected again: a disk may have failed, or memory.
    """
    found = remembered(
        _identity(),
        root,
        paths,
        lambda path: asdict(inspect(path)),
        progress,
        failed=lambda answer: bool(answer["error"]),
    )
    return {path: Inspection(**one) for path, one in zip(paths, found, strict=True)}


def known_inspections(root: Path, paths: Sequence[Path]) -> dict[Path, Inspection]:
    """Return the inspections of those videos that have not changed since; open none."""
    return {path: Inspection(**one) for path, one in recalled(_identity(), root, paths).items()}


def _identity() -> str:
    """What the outcome of an inspection depends on besides the video."""
    return f"inspection {VERSION}, {decoder_identity()}, {reader_identity()}"


def inspect(path: Path) -> Inspection:
    """Inspect a video, which is a file or a folder of frames."""
    try:
        return _inspect_frames(path) if path.is_dir() else _inspect_file(path)
    except UserError as error:
        return Inspection(frames=0, error=str(error), remark="")


def _inspect_file(path: Path) -> Inspection:
    """Read it to its end as a run does; then with a strict decoder, and compare its suffix."""
    _, reading = decode_each(path, 1, "segment-centres", list)
    container, complaint = examine(path)
    promised = CONTAINERS.get(path.suffix.lower())
    other = promised is not None and promised not in container.split(",")
    remarks = f"its name says {path.suffix}, its content is {container}" if other else "", complaint
    return Inspection(frames=reading.frames, error="", remark="; ".join(filter(None, remarks)))


def _inspect_frames(folder: Path) -> Inspection:
    """Read every image, since a run may take any of them; look for gaps in their numbering."""
    images = frames_of(folder)
    read_frames(images, len(images), "segment-centres", lambda _: [None])
    numbers = [int(digits[-1]) for image in images if (digits := re.findall(r"\d+", image.stem))]
    gaps = [number for number, following in pairwise(numbers) if following != number + 1]
    remark = f"the frame after number {gaps[0]} is missing" if gaps else ""
    return Inspection(frames=len(images), error="", remark=remark)
