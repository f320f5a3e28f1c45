"""Frames a second of both readers: `python -m tests.benchmarks.decoding`.

One file after another, the best of several rounds: eight frames of a video are taken, of one that
is read for the first time, and of one that has been read before.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from episodes.decoding.clips import decode_each
from episodes.decoding.readings import Reading
from tests.video_files import packed_bitstream, painted

RULES = ("segment-centres", "middle-frame")


def fastest(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest round."""

    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(seconds() for _ in range(rounds))


def speeds(path: Path, decoder: str, rounds: int) -> list[object]:
    """Frames of the video by seconds: read for the first time, then by each rule."""

    def read(rule: str, known: Reading | None) -> Reading:
        return decode_each(path, 8, rule, list, decoder, known)[1]

    reading = read(RULES[0], None)
    times = [fastest(lambda: read(RULES[0], None), rounds)]
    times += [fastest(lambda rule=rule: read(rule, reading), rounds) for rule in RULES]
    return [path.name, decoder, reading.reader, *(reading.frames / one for one in times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = (320, 240)
        paths = [
            painted(Path(folder) / "h264-300.mp4", "libx264", size=size, frames=300),
            painted(Path(folder) / "mpeg4-250.avi", "mpeg4", size=size, frames=250),
            packed_bitstream(Path(folder) / "xvid-packed-250.avi", 250, size),
        ]
        lines = [
            speeds(path, decoder, wanted.rounds) for path in paths for decoder in ("decord", "av")
        ]
    heads = [
        "file",
        "--decoder",
        "read by",
        "first time, frames/s",
        *(f"again, {r}" for r in RULES),
    ]
    print(tabulate(lines, heads, tablefmt="pipe", floatfmt=",.0f"))  # noqa: T201


if __name__ == "__main__":
    main()
