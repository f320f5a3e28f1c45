"""Clips from folders of images, as tools that extract the frames of a video write them."""

import importlib.metadata
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from episodes.decoding.sampling import Sampling, frame_indices
from episodes.errors import UserError

Pixels = NDArray[np.uint8]
Shrunk = TypeVar("Shrunk")
BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
"""Raised by Pillow for an image that unpacks to far more than the size of its file."""


def reader_identity() -> str:
    """Name and version of the library that reads images: another one may give other pixels."""
    return f"pillow {importlib.metadata.version('pillow')}, 16 bits to 8"


def read_frames(
    images: Sequence[Path],
    frames: int,
    sampling: Sampling,
    shrink: Callable[[Pixels], Sequence[Shrunk]],
) -> tuple[list[Shrunk], bool]:
    """Read the sampled frames, as `episodes.decoding.clips.decode_each` does those of a file.

    Crops that follow a face or a hand differ in size: all are resized to the size of the first.

    Args:
        images: all frames of a video, in order; at least one.
        frames: number of frames in a clip.
        sampling: see `episodes.decoding.sampling.frame_indices`.
        shrink: processes a frame, uint8 (1, height, width, 3), RGB.

    Returns:
        the result for each frame, clips * frames of them; and whether some were resized.

    Raises:
        UserError: an image cannot be read.
    """
    indices = frame_indices(sampling, len(images), frames).tolist()
    with _opened(images[0]) as first:
        size = first.size
    resized = False
    read: dict[int, Shrunk] = {}
    for index in dict.fromkeys(indices):
        with _opened(images[index]) as image:
            picture = _in_eight_bits(image)
            if image.size != size:
                picture, resized = picture.resize(size, Image.Resampling.BILINEAR), True
            (read[index],) = shrink(np.array(picture, dtype=np.uint8)[None])
    return [read[index] for index in indices], resized


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a JPEG or PNG image, and nothing else that Pillow could read."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such image file; extract the video's frames again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                yield image
    except BOMBS as error:
        raise UserError(
            f"{path}: this image unpacks to more pixels than any frame has ({error}); leave it out"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise UserError(
            f"{path}: cannot be read as an image ({error}); extract the video's frames again as"
            " JPEG or PNG, or leave it out"
        ) from error


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Return RGB; for 16-bit grey levels the upper 8 bits, where Pillow would clip at 255."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    return image.convert("RGB")
