"""Clips from folders of images, as tools leave them that extract the frames of a video."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from episodes.errors import UserError
from episodes.sampling import Sampling, frame_indices


def reader_identity() -> str:
    """Name and version of what reads images: another one may give other pixels."""
    return f"pillow {importlib.metadata.version('pillow')}"


def read_frames(images: Sequence[Path], frames: int, sampling: Sampling) -> NDArray[np.uint8]:
    """Read the frames that a sampling takes.

    Args:
        images: all frames of a video, in order; at least one.
        frames: how many a clip has.
        sampling: see `episodes.sampling.frame_indices`.

    Returns:
        uint8 (clips * frames, height, width, 3), RGB.

    Raises:
        UserError: an image cannot be read, or differs from the others in size.
    """
    indices = frame_indices(sampling, len(images), frames).tolist()
    read = {index: _pixels(images[index]) for index in dict.fromkeys(indices)}
    first = read[indices[0]]
    for index, pixels in read.items():
        if pixels.shape != first.shape:
            raise UserError(
                f"{images[index]} is {_size(pixels)}, {images[indices[0]]} is {_size(first)};"
                " the frames of a video are of one size: extract them again"
            )
    return np.stack([read[index] for index in indices])


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as an image ({error}); extract the video's frames again, or"
            " leave it out"
        ) from error


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
