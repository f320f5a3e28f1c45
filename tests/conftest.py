"""What all tests share: one cache folder, one thread, a small split and real video files."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import count, product
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from markupsafe import Markup

from bench.commands import new_plugin
from episodes.cache import ENVIRONMENT_VARIABLE
from episodes.disk import registration
from episodes.split import Split, Video
from tests.outside_package import plugins_as_they_were

# Importing a package of its own would register its method; attacks are imported where they run.
collect_ignore = ["outside", "attacks"]
os.environ["FVBENCH_TRACEBACK"] = "1"  # a defect fails a test with its traceback
MILLISECONDS = Fraction(1, 1000)
SMALL_RECIPE = """
base = "default"

[default]
steps = 4
episodes_per_step = 2
episodes_at_once = 1
warm_up_steps = 1
validate_every = 2
validation_episodes = 2
"""


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep rendered videos and features of a test run in one folder, whatever its workers.

    Datasets that the user registered are not seen.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fvbench-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, str(folder))
        patch.setenv(registration.ENVIRONMENT_VARIABLE, str(folder / "config"))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep torch to one thread: tests run side by side already."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def quick_system() -> Iterator[None]:
    """Wait for no disk, since no test cuts off the power; list the installed packages once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        listed = cache(new_plugin.packages_distributions)
        patch.setattr(new_plugin, "packages_distributions", listed)
        yield


@pytest.fixture(scope="session")
def small_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file of four steps, validated after every second."""
    path = tmp_path_factory.mktemp("recipes") / "small.toml"
    path.write_text(SMALL_RECIPE)
    return path


@pytest.fixture(scope="session")
def small_split() -> Split:
    """Six classes in three partner pairs; groups of one to four videos, no two classes alike."""
    group_sizes = {
        "open": (1, 2, 3),
        "close": (4, 1, 1, 2),
        "push": (2, 2, 2, 2),
        "pull": (1, 1, 1, 1, 1),
        "rise": (3, 3, 1),
        "sink": (1, 4, 2, 1),
    }
    videos = [
        Video(label, f"g{group}", f"{label}-{group}-{clip}")
        for label, sizes in group_sizes.items()
        for group, size in enumerate(sizes)
        for clip in range(size)
    ]
    partners = {"open": "close", "push": "pull", "rise": "sink"}
    return Split("small", "test", tuple(videos), partners | {b: a for a, b in partners.items()})


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test registers apart."""
    monkeypatch.setenv(registration.ENVIRONMENT_VARIABLE, str(tmp_path / "config"))


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no charts on pages, which takes most of their time: their captions are there."""
    draw_no_charts(monkeypatch)


def draw_no_charts(patch: pytest.MonkeyPatch) -> None:
    from bench.report.assembly import Figure

    for place in ("bench.report.sections.chart", "bench.site.pages.chart"):
        patch.setattr(place, lambda name, caption, *_, **__: Figure(caption, Markup()))


@pytest.fixture
def short_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time what `fvbench throughput` times for moments, whose figures are noise."""
    monkeypatch.setattr("bench.throughput.peaks.LEAST_SECONDS", 0.01)
    monkeypatch.setattr("bench.throughput.peaks.SIDE", {"cpu": 64})
    monkeypatch.setattr("bench.throughput.peaks.COPIED", {"cpu": 1 << 20})


@pytest.fixture
def plugins_forgotten() -> Iterator[None]:
    """Forget in the end what a test imported from plugins, and what they registered."""
    with plugins_as_they_were():
        yield


def videos_of(root: Path, labels: Iterable[str], each: int = 2, opened: bool = True) -> Path:
    """Write ``LABEL/N.mp4``, so many of each class; where nobody opens them, a few bytes each."""
    for number, (label, clip) in enumerate(product(labels, range(each))):
        path = root / label / f"{clip}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, 16 + number) if opened else path.write_bytes(f"{number}".encode())
    return root


def make_video(
    path: Path,
    frames: int = 20,
    size: tuple[int, int] = (96, 96),
    codec: str = "libx264",
    rate: int = 10,
    times: Sequence[int] = (),
    audio_seconds: float = 0.0,
    title: str = "",
    options: Mapping[str, str] | None = None,
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    picture: Callable[[tuple[int, int], int, int], np.ndarray] | None = None,
) -> Path:
    """Write a real video: a square wanders over a background that grows brighter by the frame.

    Args:
        path: where to; the suffix says which container.
        frames: how many.
        size: (width, height).
        codec: as libav calls it.
        rate: frames in a second.
        times: when each frame is shown, in milliseconds: an uneven rate instead of ``rate``.
        audio_seconds: length of a silent audio track; none if 0.
        title: goes into the container's metadata.
        options: of the codec, as libav calls them.
        pixel_format: as libav calls it.
        rotation: degrees by which a player turns it.
        picture: another frame (height, width, 3) of a size, by its number among so many.
    """
    with av.open(path, "w") as file:
        if title:
            file.metadata["title"] = title
        video = file.add_stream(codec, rate=rate, options=dict(options or {}))
        video.width, video.height = size
        video.pix_fmt = pixel_format
        video.codec_context.thread_count = 1
        if rotation:
            video.set_display_rotation(rotation)
        if times:
            video.codec_context.time_base = MILLISECONDS
        audio = _add_audio(file, path) if audio_seconds else None
        for index in range(frames):
            drawn = (picture or _picture)(size, index, frames)
            frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[index], MILLISECONDS
            file.mux(video.encode(frame.reformat(format=pixel_format)))
        file.mux(video.encode())
        if audio:
            _mux_silence(file, audio, audio_seconds)
    return path


def _picture(size: tuple[int, int], index: int, frames: int) -> np.ndarray:
    width, height = size
    picture = np.full((height, width, 3), 40 + 160 * index // frames, dtype=np.uint8)
    left, top = index % (width - 8), index % (height - 8)
    picture[top : top + 8, left : left + 8] = (250, 20, 120)
    return picture


def _add_audio(file: av.container.OutputContainer, path: Path) -> av.AudioStream:
    audio = file.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000)
    audio.layout = "mono"
    return audio


def _mux_silence(file: av.container.OutputContainer, audio: av.AudioStream, seconds: float) -> None:
    samples = audio.codec_context.frame_size
    silence = np.zeros((1, samples), np.float32)
    for start in count(0, samples):
        if start >= seconds * 48_000:
            break
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, start
        file.mux(audio.encode(frame))
    file.mux(audio.encode())
