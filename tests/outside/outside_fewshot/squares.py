"""A data set that draws itself: squares of a colour that differs by class, on noise."""

import colorsys
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from episodes.cache import cache_folder
from episodes.split import Split, SplitName, Video, VideoFile

CLASSES = {"train": 6, "val": 4, "test": 5}
VIDEOS = 4
"""Of each class, in two recordings."""
FRAMES, SIDE = 6, 48


class Squares:
    """What the harness asks of a data set, see `episodes.datasets.Dataset`."""

    name = "outside-squares"
    description = "squares, 6 train, 4 val, 5 test classes of 4 videos"
    directional = False
    recipes = Path(__file__).parent / "banks"

    def split(self, name: SplitName) -> Split:
        """Name the videos of a split."""
        videos = [
            Video(f"{name}-{number}", f"recording-{take // 2}", f"take-{take}")
            for number in range(CLASSES[name])
            for take in range(VIDEOS)
        ]
        return Split(self.name, name, tuple(videos))

    def files(
        self, split: SplitName, videos: Sequence[Video], progress: Callable[[int, int], None]
    ) -> list[VideoFile]:
        """Draw what is not there yet."""
        files = []
        for done, video in enumerate(videos, 1):
            path = cache_folder() / self.name / split / video.label / f"{video.name}.mkv"
            if not path.exists():
                _draw(path, video)
            files.append(VideoFile(video, path, hashlib.sha256(path.read_bytes()).hexdigest()))
            progress(done, len(videos))
        return files

    def state(self) -> str:
        """Say what is there."""
        return "ready: drawn when it is used"


def _draw(path: Path, video: Video) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256(f"{video.label}/{video.name}".encode()).digest()[:4])
    noise = np.random.default_rng(seed)
    hue = int(video.label.rpartition("-")[2]) / max(CLASSES.values())
    colour = [round(255 * one) for one in colorsys.hsv_to_rgb(hue, 1, 1)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "bgr0"
        for _ in range(FRAMES):
            picture = noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            left, top = noise.integers(0, SIDE // 2, 2)
            picture[top : top + SIDE // 2, left : left + SIDE // 2] = colour
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            file.mux(stream.encode(frame.reformat(format="bgr0")))
        file.mux(stream.encode())


DATASET = Squares()
