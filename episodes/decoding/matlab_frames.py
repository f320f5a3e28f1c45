"""Turn videos in the form of MATLAB arrays into folders of frames.

    python -m episodes.decoding.matlab_frames avletters/Lips FOLDER

A file holds ``vid`` (pixels, frames), grey values from 0 to 255 column by column, and ``siz``, the
height, width and number of frames, as the files of AVLetters do. ``NAME.mat`` becomes
``FOLDER/NAME/001.png``, ``002.png`` and so on; folders that exist are left as they are.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from episodes.errors import UserError


def frames_of(path: Path) -> NDArray[np.uint8]:
    """Read the frames of a file, uint8 (frames, height, width).

    Raises:
        UserError: it holds no video of this form.
    """
    try:
        content = loadmat(path)
        pixels = np.asarray(content["vid"], dtype=np.float64)
        height, width, count = (int(side) for side in np.ravel(content["siz"]))
        video = pixels.reshape(height, width, count, order="F").transpose(2, 0, 1)
    except (MatReadError, OSError, TypeError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(
            f"{path} holds no video: {error}; it needs `vid` (pixels, frames) and `siz` (height,"
            " width, frames)"
        ) from error
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


def convert(source: Path, target: Path) -> int:
    """Write the frames of every .mat file in a folder; return the number of files.

    Raises:
        UserError: there is none, or one holds no video.
    """
    paths = sorted(source.glob("[!.]*.mat"))
    if not paths:
        raise UserError(f"{source} holds no .mat file; name the folder that does")
    for path in paths:
        folder = target / path.stem
        if folder.exists():
            continue
        frames = frames_of(path)
        unfinished = target / f".{path.stem}"
        unfinished.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(frames, start=1):
            Image.fromarray(frame).save(unfinished / f"{number:03}.png")
        unfinished.rename(folder)
    return len(paths)


def main(
    source: Annotated[Path, typer.Argument(help="The folder of .mat files.")],
    target: Annotated[Path, typer.Argument(help="Where folders of frames are written.")],
) -> None:
    """Turn videos in the form of MATLAB arrays into folders of frames."""
    try:
        typer.echo(f"{convert(source, target)} videos in {target}")
    except (UserError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
