"""Memory of a 4K clip: ``python -m tests.benchmarks.large_frames``, on Linux.

What a decoder's process takes beyond what it holds when idle, and what the thread takes that asks
it and makes the frames small for a backbone. Each video has as many reference frames as its level
allows of this size.
"""

import multiprocessing
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tabulate import tabulate

from bench.backbone import InputSpec
from bench.features.clips import load_clip
from episodes.decoding import process
from episodes.decoding.media import content_sha256
from episodes.split import Video, VideoFile
from tests.video_files import painted

SIZE = (3840, 2160)
X265 = "ref=5:bframes=4:log-level=none:pools=none:frame-threads=1"
KINDS = {
    "H.264": ("libx264", "yuv420p", {"x264-params": "ref=5:bframes=3:b-pyramid=normal"}),
    "HEVC": ("libx265", "yuv420p", {"x265-params": X265}),
    "HEVC, 10 bits": ("libx265", "yuv420p10le", {"x265-params": X265}),
}
SPEC = InputSpec(8, 224, (0.5,) * 3, (0.5,) * 3)


def of_4k(folder: Path, kind: str, frames: int = 16) -> Path:
    """Write a video."""
    codec, form, options = KINDS[kind]
    options = {"preset": "ultrafast", **options}
    return painted(folder / f"{kind}.mp4", codec, form, SIZE, frames=frames, options=options)


def taken(path: Path, small: Path, decoder: str) -> tuple[float, float]:
    """MB that a clip takes in a decoder's process, and in the thread beside it."""
    process.close_idle()
    _load(small, decoder)
    decoding = process.idle[-1].pid
    before = _memory(decoding, "VmRSS"), _memory("self", "VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    _load(path, decoder)
    return _memory(decoding, "VmHWM") - before[0], _memory("self", "VmHWM") - before[1]


def _load(path: Path, decoder: str) -> None:
    video = VideoFile(Video("label", "group", path.stem), path, content_sha256(path))
    load_clip(video, SPEC, "segment-centres", decoder)


def _memory(which: int | str, key: str) -> float:
    status = Path(f"/proc/{which}/status").read_text()
    return int(re.findall(rf"{key}:\s+(\d+) kB", status)[0]) * 1024 / 1e6


def main() -> None:
    """Measure each in processes of its own: what others freed would hide what it takes."""
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool,
    ):
        folder = Path(name)
        small = painted(folder / "small.mp4", "libx264")
        lines = []
        for kind in KINDS:
            path = of_4k(folder, kind, frames=100)
            for decoder in ("decord", "av"):
                lines.append([kind, decoder, *pool.submit(taken, path, small, decoder).result()])
    heads = ["4K, 100 frames", "reader asked", "decoder's process, MB", "thread beside it, MB"]
    print(tabulate(lines, heads, "github", floatfmt=".0f"))  # noqa: T201


if __name__ == "__main__":
    main()
