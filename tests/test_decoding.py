"""Clips come out of good files whole, and a bad file is one message that names it."""

import json
import math
import os
import re
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from episodes.cache import ENVIRONMENT_VARIABLE as CACHE
from episodes.decoding.clips import decode_each, decoder_identity, examine
from episodes.decoding.media import content_sha256, videos_below
from episodes.decoding.process import Process, close_idle
from episodes.decoding.readers import AvVideo, read
from episodes.decoding.readings import Reading
from episodes.decoding.sampling import RULES, frame_indices
from episodes.errors import UserError
from tests.benchmarks.large_frames import of_4k, taken
from tests.conftest import make_video
from tests.video_files import (
    decoded,
    packed_bitstream,
    painted,
    patched,
    with_durations,
    with_length,
    with_sizes_of,
)

ROOT = Path(__file__).parents[1]
RULE = "segment-centres"
CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".mkv": "ffv1", ".avi": "mpeg4"}
UNEVEN = [0, 100, 200, 400, 500, 1000, 1100, 1200, 1500, 3000, *range(3100, 4100, 100)]
"""When 20 frames are shown, in milliseconds: half as many as an even rate would need."""


def every_frame(path: Path) -> np.ndarray:
    """All frames as another decoder gives them."""
    with av.open(path) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for the rounding of another decoder; a frame is 0.6 brighter than the one before.

    The wandering square tells neighbours apart where brightness does not.
    """
    return (
        one.shape == other.shape and abs(one.astype(int) - other).mean(axis=(1, 2, 3)).max() < 0.5
    )


@pytest.mark.parametrize("suffix", CODECS)
class TestGoodFile:
    def test_gives_the_frames_that_the_rule_takes(self, tmp_path: Path, suffix: str):
        path = make_video(tmp_path / f"good{suffix}", codec=CODECS[suffix])
        every = every_frame(path)
        assert every.shape == (20, 96, 96, 3)
        for rule in RULES:
            clip = decoded(path, 8, rule)
            assert clip.dtype == np.uint8
            assert alike(clip, every[frame_indices(rule, 20, 8)])

    def test_shorter_than_the_clip_gives_frames_twice_in_order(self, tmp_path: Path, suffix: str):
        path = make_video(tmp_path / f"short{suffix}", frames=3, codec=CODECS[suffix])
        brightness = decoded(path, 8, RULE).mean(axis=(1, 2, 3)).round(3).tolist()
        assert brightness == sorted(brightness)
        assert [brightness.count(level) for level in sorted(set(brightness))] == [3, 2, 3]

    def test_of_one_frame_is_a_clip(self, tmp_path: Path, suffix: str):
        path = make_video(tmp_path / f"one{suffix}", frames=1, codec=CODECS[suffix])
        assert decoded(path, 4, RULE).shape == (4, 96, 96, 3)

    def test_of_an_uneven_frame_rate_is_not_taken_for_cut(self, tmp_path: Path, suffix: str):
        codec = "mpeg4" if suffix == ".mp4" else CODECS[suffix]
        path = make_video(tmp_path / f"uneven{suffix}", times=UNEVEN, codec=codec)
        assert decoded(path, 8, RULE).shape == (8, 96, 96, 3)

    def test_with_a_longer_audio_track_is_not_taken_for_cut(self, tmp_path: Path, suffix: str):
        path = make_video(tmp_path / f"song{suffix}", codec=CODECS[suffix], audio_seconds=5)
        assert decoded(path, 8, RULE).shape == (8, 96, 96, 3)


def test_matroska_that_knows_only_its_longest_track_is_not_taken_for_cut(tmp_path: Path):
    assert decoded(without_track_lengths(tmp_path, audio_seconds=5), 8, RULE).shape[0] == 8


@pytest.mark.parametrize("options", [{}, {"g": "10"}], ids=["one group", "groups of ten"])
@pytest.mark.parametrize("seconds", [0.1, 0.25, 1.0, 2.5])
def test_frames_hidden_by_an_edit_list_are_not_taken(tmp_path, seconds, options):
    """As ``ffmpeg -ss TIME -c copy`` leaves them, for the sake of frames that follow."""
    path = trimmed(make_video(tmp_path / "whole.mp4", frames=60, options=options), seconds)
    with av.open(path) as file:
        assert file.streams.video[0].frames == 60
    shown = every_frame(path)
    assert len(shown) == 60 - math.ceil(10 * seconds)
    assert alike(decoded(path, 8, RULE), shown[frame_indices(RULE, len(shown), 8)])


def trimmed(source: Path, seconds: float) -> Path:
    def earlier(packet: av.Packet) -> None:
        start = round(seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts - start, packet.dts - start

    return remuxed(source, source.with_stem("trimmed"), change=earlier)


def remuxed(
    source: Path,
    path: Path,
    kind: str = "video",
    change: Callable[[av.Packet], None] = lambda packet: None,
    options: dict[str, str] | None = None,
) -> Path:
    """Copy one stream of a file, packet by packet."""
    with av.open(source) as old, av.open(path, "w", options=options or {}) as new:
        stream = getattr(old.streams, kind)[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                change(packet)
                packet.stream = copy
                new.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("open-groups.mp4", "libx264", {"x264-params": "open-gop=1:bframes=3:keyint=12"}),
        ("b-frames.mp4", "mpeg4", {"bf": "2"}),
        ("b-frames.avi", "mpeg4", {"bf": "2"}),
        ("b-frames.mkv", "mpeg2video", {"bf": "2"}),
        ("h264.avi", "libx264", {"g": "12"}),
        ("usual.mp4", "libx264", {}),
        ("program.mpg", "mpeg2video", {}),
        ("windows.wmv", "wmv2", {}),
    ],
)
def test_frames_are_the_ones_asked_for_where_decord_jumps_wrongly(tmp_path, name, codec, options):
    path = make_video(tmp_path / name, frames=250, codec=codec, rate=25, options=options)
    wanted = every_frame(path)[frame_indices(RULE, 250, 8)]
    assert alike(decoded(path, 8, RULE), wanted)


def length(milliseconds: int) -> bytes:
    """How Matroska states a file's length."""
    return b"\x44\x89\x88" + struct.pack(">d", milliseconds)


SLIDES = {"frames": 5, "times": range(0, 5000, 1000)}


@pytest.mark.parametrize(
    ("name", "settings", "changes"),
    [
        # The last of five slides is shown as long as the others, which no packet says.
        ("a.mkv", SLIDES, {b"00:00:04.1": b"00:00:05.0", length(4100): length(5000)}),
        ("a.mkv", {}, {b"00:00:02.0": b"00:01:02.0"}),  # a tag copied from a longer file
        # Metadata in an old encoding: PyAV 18 cannot open such a file, PyAV 19 can.
        ("a.avi", {"codec": "mpeg4", "title": "caf@"}, {b"caf@": b"caf\xe9"}),
    ],
)
def test_what_a_file_says_of_itself_is_not_believed(tmp_path: Path, name, settings, changes):
    path = make_video(tmp_path / name, **settings)
    for old, new in changes.items():
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new))
    assert decoded(path, 5, RULE).shape[0] == 5


def test_a_name_that_looks_like_an_address_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_video(tmp_path / "1.mp4", frames=9).rename(tmp_path / "http:a.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(decoded(Path("http:a.mp4"), 4, "linspace", "av")) == 4


def test_unknown_rule_is_refused_as_such(tmp_path: Path):
    path = make_video(tmp_path / "good.mp4")
    with pytest.raises(UserError, match="no frame sampling is called 'centre'"):
        decoded(path, 8, "centre")


def test_identity_names_the_decoder_its_version_and_how_it_is_used():
    """Features on disk are keyed by it."""
    assert decoder_identity() == "decord 0.6.0, all frames in order"


READ_AS_LIBAV_DOES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "48 wide": ("a.mp4", "libx264", {"size": (48, 96)}, "av"),
    "72 wide": ("a.mkv", "ffv1", {"size": (72, 96)}, "av"),
    "58 wide": ("a.mp4", "libx264", {"size": (58, 96)}, "decord"),
    "AV1": ("a.mkv", "libsvtav1", {}, "av"),
    "10 bits": ("a.mp4", "libx264", {"pixel_format": "yuv420p10le"}, "av"),
    "interlaced": ("a.mp4", "libx264", {"options": {"flags": "+ilme+ildct"}}, "av"),
    "transport stream": ("a.ts", "mpeg2video", {}, "av"),
    "HEVC": ("a.mp4", "libx265", {}, "decord"),
    "turned left": ("a.mp4", "libx264", {"rotation": 90}, "decord"),
    "turned right": ("a.mov", "libx264", {"rotation": -90}, "decord"),
    "upside down": ("a.mp4", "libx264", {"rotation": 180}, "decord"),
    "4:4:4": ("a.mp4", "libx264", {"pixel_format": "yuv444p"}, "decord"),
}
"""A property -> name, codec and settings of such a file; and which reader reads it."""


def frames_of_both_readers(path: Path, count: int, reader: str) -> list[tuple[int, ...]]:
    """Check that both give the frames of libav; return the shapes in which they come."""
    frames = [picture() for picture in AvVideo(path)]
    assert len(frames) == count
    shapes: list[tuple[int, ...]] = []
    for decoder in ("decord", "av"):
        clip, reading = decode_each(
            path, count, "linspace", lambda part: shapes.append(part.shape) or part, decoder
        )
        assert reading == Reading(reader if decoder == "decord" else "av", count)
        assert np.array_equal(clip, frames)
    return shapes


@pytest.mark.parametrize("kind", READ_AS_LIBAV_DOES)
def test_both_readers_give_the_frames_of_libav(kind: str, tmp_path: Path):
    name, codec, settings, reader = READ_AS_LIBAV_DOES[kind]
    path = painted(tmp_path / name, codec, **settings)
    frames_of_both_readers(path, 24, reader)


@pytest.mark.parametrize(
    "settings", [{"pixel_format": "yuv420p10le"}, {"options": {"flags": "+ilme+ildct"}}]
)
def test_both_readers_give_the_frames_behind_a_black_one(settings: dict[str, Any], tmp_path: Path):
    """The first picture, by which decord is judged, is the same in both."""
    path = painted(tmp_path / "a.mp4", "libx264", black=3, **settings)
    frames_of_both_readers(path, 24, "av")


def test_decord_reads_where_pyav_does_not_tell_the_order_of_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As before 18.1: all videos were read by the other reader."""
    video = AvVideo(painted(tmp_path / "a.mp4", "libx264"))
    older = SimpleNamespace(codec_context=SimpleNamespace(format=av.VideoFormat("yuv420p", 64, 48)))
    monkeypatch.setattr(video, "_stream", older)
    assert not video.blends_lines()


def test_both_readers_give_the_frames_of_a_packed_bitstream(tmp_path: Path):
    frames_of_both_readers(packed_bitstream(tmp_path / "xvid.avi"), 30, "av")


def test_frames_above_full_hd_are_never_held_together(tmp_path: Path):
    quick = {"preset": "ultrafast"}
    path = painted(tmp_path / "a.mp4", "libx264", size=(2560, 1440), frames=3, options=quick)
    assert frames_of_both_readers(path, 3, "av") == [(1, 1440, 2560, 3)] * 6


def test_turned_videos_are_shown_upright(tmp_path: Path):
    plain = every_frame(painted(tmp_path / "plain.mp4", "libx264", options={"qp": "0"}))
    for degrees in (90, 180, -90):
        path = painted(tmp_path / "a.mp4", "libx264", rotation=degrees, options={"qp": "0"})
        upright = decoded(path, 24, "linspace", "av")
        assert np.array_equal(upright, np.rot90(plain, degrees // 90, axes=(1, 2)))


@pytest.mark.parametrize("decoder", ["decord", "av"])
@pytest.mark.parametrize("make", [packed_bitstream, lambda path: painted(path, "libx264")])
def test_of_a_video_known_to_be_whole_no_frame_behind_the_last_one_is_decoded(
    decoder: str, make: Callable[[Path], Path], tmp_path: Path
):
    path = make(tmp_path / "a.avi")
    whole, reading = decode_each(path, 8, RULE, list, decoder)
    again, same = decode_each(path, 8, RULE, list, decoder, known=reading)
    assert np.array_equal(whole, again)
    assert same == reading
    behind = frame_indices(RULE, reading.frames, 8)[-1] + 2
    decoded: list[int] = []

    def pictures(_: Path) -> Iterator[Callable[[], int]]:
        for index in range(99):
            decoded.append(index)
            yield lambda: 0

    read(pictures, path, lambda count: [behind], 99, lambda *_: None, lambda: None)
    assert decoded == list(range(behind + 1))


class TestHostileFile:
    """It ends nothing but its own process, and is named."""

    def test_header_that_makes_decord_run_out_of_memory(self, tmp_path: Path, monkeypatch):
        path = patched(make_video(tmp_path / "a.mp4"), with_durations(10**9))
        monkeypatch.chdir(tmp_path)
        close_idle()
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
        assert decode_each(path, 8, RULE, list, "decord")[1] == Reading("av", 20)
        resource.setrlimit(resource.RLIMIT_CORE, limits)
        assert list(tmp_path.iterdir()) == [path], "no dump of its memory"

    @pytest.mark.parametrize("decoder", ["decord", "av"])
    def test_length_of_years(self, decoder: str, tmp_path: Path):
        path = patched(make_video(tmp_path / "a.avi", codec="mpeg4"), with_length(10**9))
        with pytest.raises(UserError, match=r"a\.avi: .*cut short: 20 of 1000000000 frames"):
            decoded(path, 8, RULE, decoder)

    def test_frames_of_an_absurd_size(self, tmp_path: Path):
        source = painted(tmp_path / "a.mkv", "ffv1", size=(640, 480), frames=2)
        path = patched(source, with_sizes_of(16_000, 16_000))
        with pytest.raises(UserError, match=r"a\.mkv: .*16000 x 16000; at most 35,389,440 pixels"):
            decoded(path, 8, RULE)

    def test_decoder_that_comes_to_no_frame(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr("episodes.decoding.process.TIME_LIMIT", 0.001)
        path = painted(tmp_path / "a.mp4", "libx264", size=(3840, 2160), frames=2)
        with pytest.raises(UserError, match=r"a\.mp4: .*produced no frame for"):
            decoded(path, 8, RULE, "av")
        monkeypatch.undo()
        assert decoded(path, 2, RULE, "av").shape == (2, 2160, 3840, 3)

    def test_process_that_is_killed(self, tmp_path: Path, monkeypatch):
        path = make_video(tmp_path / "a.mp4")

        def crash(process: Process, request: dict, receive: object) -> dict:
            os.kill(process.pid, signal.SIGKILL)
            return ask(process, request, receive)

        ask = Process.ask
        monkeypatch.setattr(Process, "ask", crash)
        with pytest.raises(UserError, match=r"a\.mp4: .*its decoder crashed: SIGKILL"):
            decoded(path, 8, RULE)
        monkeypatch.undo()
        assert decoded(path, 8, RULE).shape[0] == 8

    @pytest.mark.parametrize(
        ("ends", "how"),
        [
            ("read request; printf '{\"ind'; kill -9 $$", "crashed: SIGKILL"),
            ("echo Traceback >&2; echo ImportError: libx >&2; exit 1", "ended: ImportError: libx"),
            ("exit 3", "ended: status 3"),
        ],
        ids=["killed amid an answer", "a traceback", "a status"],
    )
    def test_process_that_ends_by_itself(self, ends: str, how: str, tmp_path: Path, monkeypatch):
        path, script = make_video(tmp_path / "a.mp4"), tmp_path / "process"
        script.write_text(f"#!/bin/sh\n{ends}\n")
        script.chmod(0o755)
        close_idle()
        monkeypatch.setattr(sys, "executable", str(script))
        with pytest.raises(UserError, match=rf"a\.mp4: .*its decoder {how}\)"):
            decoded(path, 8, RULE)

    def test_content_that_is_not_what_was_hashed(self, tmp_path: Path):
        path = make_video(tmp_path / "a.mp4")
        sha256 = content_sha256(path)
        assert decode_each(path, 8, RULE, list, sha256=sha256)[1].frames == 20
        patched(path, with_durations(21))
        with pytest.raises(UserError, match=r"a\.mp4: .*content has changed since it was hashed"):
            decode_each(path, 8, RULE, list, sha256=sha256)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_clip_of_4k_takes_less_than_300_mb_in_each_thread_and_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(CACHE, str(tmp_path))
    path, small = of_4k(tmp_path, "HEVC, 10 bits", 6), painted(tmp_path / "small.mp4", "libx264")
    process, thread = taken(path, small, "decord")  # which it leaves to PyAV
    assert 100 < process < 300
    assert thread < 300


def test_damage_that_a_decoder_conceals_is_found_by_a_strict_one(tmp_path: Path):
    path = painted(tmp_path / "a.avi", "mjpeg", pixel_format="yuvj420p")
    assert examine(path) == ("avi", "")
    with av.open(path) as file:
        packet = [one for one in file.demux(video=0) if one.size][3]
    half = packet.size // 2
    with path.open("rb+") as written:
        written.seek(packet.pos + half)
        written.write(b"\xff" * half)
    assert decoded(path, 8, RULE, "av").shape[0] == 8
    assert "a strict decoder stops after 3 frames" in examine(path)[1]


CLIPS = os.environ.get("FVBENCH_CLIPS")


@pytest.mark.skipif(not CLIPS, reason="FVBENCH_CLIPS names no folder of real clips")
def test_both_readers_agree_on_real_clips():
    paths = [Path(path) for path in videos_below(Path(CLIPS or ""))]
    assert paths, f"no videos below {CLIPS}"
    for path in paths:
        with av.open(path, metadata_errors="ignore") as file:
            count = sum(1 for _ in file.decode(file.streams.best("video")))
        clips = {}
        for decoder in ("decord", "av"):
            clip, reading = decode_each(path, min(count, 99), "linspace", list, decoder)
            assert reading.frames == count, path
            clips[decoder] = np.stack(clip).astype(np.int16)
        assert np.abs(clips["decord"] - clips["av"]).max() <= 2, path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file, as an interrupted download does."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def zeroed(path: Path) -> Path:
    """Overwrite a third in the middle of a file."""
    data = bytearray(path.read_bytes())
    first, last = len(data) // 3, 2 * len(data) // 3
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    return path


def without_track_lengths(folder: Path, audio_seconds: float) -> Path:
    """Matroska as libwebm and others write it: one length for the file, none for the tracks."""
    path = make_video(folder / "plain.mkv", audio_seconds=audio_seconds)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"XURATION"))
    return path


def indexed_first(folder: Path) -> Path:
    """An MP4 whose index stands in front, so that a part of the file still has it."""
    source = make_video(folder / "late.mp4", frames=60)
    return remuxed(source, folder / "early.mp4", options={"movflags": "faststart"})


def only_audio(folder: Path) -> Path:
    source = make_video(folder / "song.mp4", audio_seconds=2)
    return remuxed(source, folder / "audio.mp4", "audio")


def harmed(
    name: str, harm: Callable[..., Path], *words: float, **settings: object
) -> Callable[[Path], Path]:
    """A video of the codec that belongs to the name's suffix, to which something is done."""
    settings = {"codec": CODECS[Path(name).suffix]} | settings
    return lambda folder: harm(make_video(folder / name, **settings), *words)


def holding(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


NOISE = np.random.default_rng(0).bytes(20_000)
NO_INDEX = "not a video, or its index is missing"
CUT_OFF = r"damaged, or cut off, after \d+ frames"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "absent.mp4", "there is no such video file; put it there"),
    "a folder": (lambda folder: folder, "there is no such video file"),
    "empty": (holding("empty.mp4", b""), r"empty \(0 bytes\); fetch it"),
    "text": (holding("text.mp4", b"no video\n" * 99), NO_INDEX),
    "random mp4": (holding("random.mp4", NOISE), NO_INDEX),
    "audio only": (only_audio, "no video stream"),
    "mp4 without index": (harmed("cut.mp4", cut, 0.6), NO_INDEX),
    "mp4 with index cut": (lambda folder: cut(indexed_first(folder), 0.6), CUT_OFF),
    "mp4 zeroed": (harmed("zero.mp4", zeroed, codec="mpeg4"), r"frame \d+ is damaged"),
    "webm zeroed": (harmed("zero.webm", zeroed), "cut short|damaged"),
    "mkv zeroed": (harmed("zero.mkv", zeroed), "cut short|damaged"),
    "avi zeroed": (harmed("zero.avi", zeroed), "cut short|damaged"),
    "avi cut at 60%": (harmed("cut60.avi", cut, 0.6), CUT_OFF),
    "mkv cut at 30%": (harmed("cut30.mkv", cut, 0.3), r"cut short: \d of 20 frames"),
    "mkv cut at 80%": (harmed("cut80.mkv", cut, 0.8), r"cut short: 1\d of 20 frames"),
    "webm cut at 60%": (harmed("cut60.webm", cut, 0.6), r"cut short: \d+ of 20 frames"),
    "webm cut in its first frame": (
        harmed("first.webm", cut, 0.28, size=(320, 240)),
        "it holds no frame that can be shown",
    ),
    "uneven mkv cut at 50%": (
        harmed("uneven.mkv", cut, 0.5, times=UNEVEN),
        r"cut short: \d+ of 41 frames",
    ),
    "webm with longer audio cut at 50%": (
        harmed("song.webm", cut, 0.5, audio_seconds=5),
        r"cut short: \d+ of 20 frames",
    ),
    "mkv without track lengths cut at 50%": (
        lambda folder: cut(without_track_lengths(folder, audio_seconds=3), 0.5),
        r"cut short: \d+ of 30 frames",
    ),
}
"""What is wrong -> how to make such a file, and what the message says."""

DECODE_EACH = """
import json, sys
from pathlib import Path
from episodes.decoding.clips import decode_each
from episodes.errors import UserError
for path in map(Path, sys.argv[1:]):
    try:
        answer = f"decoded to {len(decode_each(path, 8, 'segment-centres', list)[0])} frames"
    except UserError as error:
        answer = str(error)
    print(json.dumps([str(path), answer]), flush=True)
"""


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp("bad")) for name, (make, _) in BAD.items()}


@pytest.fixture(scope="module")
def attempt(bad_files: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """Decode all of them in one process: a crash or a hang would leave answers out."""
    return subprocess.run(
        [sys.executable, "-c", DECODE_EACH, *map(str, bad_files.values())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_message_that_names_it(name, bad_files, attempt):
    answers = dict(map(json.loads, attempt.stdout.splitlines()))
    path, (_, reason) = str(bad_files[name]), BAD[name]
    assert path in answers, f"no answer before this: {attempt.stderr}"
    message = answers[path]
    assert message.startswith(f"{path}: ")
    assert re.search(reason, message), message
    assert re.search("leave it out$", message), "says what to do"
    assert not re.search(r"\.cc|\d\d:\d\d|\n", message), "says nothing of decord's own code"


def test_bad_files_end_no_process_and_print_nothing(attempt):
    assert attempt.returncode == 0
    assert attempt.stderr == ""
