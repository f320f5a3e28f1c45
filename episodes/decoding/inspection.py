"""Inspection of one video: can it be decoded, how long is it, is it what its name says?"""

import re
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from episodes.decoding.clips import decode_each, decoder_identity, examine
from episodes.decoding.frames import read_frames, reader_identity
from episodes.decoding.media import frames_of
from episodes.errors import UserError

VERSION = 2
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
    """What a look at a video found."""

    frames: int
    """0 where it cannot be decoded."""
    error: str
    """Why it cannot be used; empty if it can."""
    remark: str
    """What is odd about it; empty if nothing is."""


def inspection_identity() -> str:
    """What determines an inspection's outcome besides the video."""
    return f"inspection {VERSION}, {decoder_identity()}, {reader_identity()}"


def inspect(path: Path) -> dict[str, Any]:
    """Look at a video and say what was found: an `Inspection` as plain values."""
    try:
        found = _inspect_frames(path) if path.is_dir() else _inspect_file(path)
    except UserError as error:
        found = Inspection(0, str(error), "")
    return asdict(found)


def _inspect_file(path: Path) -> Inspection:
    """Read it as a run does, to its end; then ask a strict decoder, and compare its name."""
    _, reading = decode_each(path, 1, "segment-centres", list)
    container, complaint = examine(path)
    remarks = (_container_remark(path, container), complaint)
    return Inspection(reading.frames, "", "; ".join(filter(None, remarks)))


def _container_remark(path: Path, found: str) -> str:
    promised = CONTAINERS.get(path.suffix.lower())
    if promised is None or promised in found.split(","):
        return ""
    return f"its name says {path.suffix}, its content is {found}"


def _inspect_frames(folder: Path) -> Inspection:
    """Read the first image; look for gaps in the numbers of the others."""
    images = frames_of(folder)
    read_frames(images[:1], 1, "segment-centres", list)
    numbers = [int(found[-1]) for image in images if (found := re.findall(r"\d+", image.stem))]
    gaps = [one for one, other in pairwise(numbers) if other != one + 1]
    remark = f"no frame follows number {gaps[0]}, though others do later" if gaps else ""
    return Inspection(len(images), "", remark)
