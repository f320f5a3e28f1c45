"""The rendered dataset: its classes, its pixels and its files."""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import combinations
from pathlib import Path

import av
import decord
import numpy as np
import pytest

from episodes.cache import ENVIRONMENT_VARIABLE
from episodes.datasets import dataset
from episodes.datasets.rendered import MANIFEST, SOURCES
from episodes.errors import UserError
from episodes.rendered import encoding, raster, scene
from episodes.rendered.encoding import ARCHIVE, PHONE, WEB, Source
from episodes.rendered.grammar import PRIMITIVES, MotionClass, Track, classes
from episodes.split import VideoFile
from tests.synthetic import NOTHING
from tests.video_files import decoded

ROOT = Path(__file__).parents[1]
RENDERED = dataset("rendered")
EVERY_CLASS = {name: motion for split in classes().values() for name, motion in split.items()}
PHASE = np.linspace(0.0, 1.0, 41)
AMPLITUDE, CONTACT = 0.25, 0.12


def pairs(kind: str) -> list[tuple[MotionClass, MotionClass]]:
    return [
        (motion, EVERY_CLASS[motion.partner])
        for motion in EVERY_CLASS.values()
        if motion.kind == kind and motion.name < motion.partner
    ]


def table(track: Track) -> np.ndarray:
    """(frames, 5): x, y, turn, scale, opacity."""
    return np.stack(astuple(track), axis=1)


def tables(motion: MotionClass, phase: np.ndarray = PHASE) -> list[np.ndarray]:
    """What the actors of a class do, before anything is placed at random."""
    return [table(track) for track in motion.verb(phase, AMPLITUDE, CONTACT) if track is not None]


class TestClasses:
    def test_stand_in_fifty_pairs_within_one_split(self):
        for found in classes().values():
            for name, motion in found.items():
                assert motion.name == name != motion.partner
                assert found[motion.partner].partner == name
                assert found[motion.partner].kind == motion.kind
        assert len(pairs("reversal")) + len(pairs("swap")) == 50

    @pytest.mark.parametrize(("split", "expected"), [("test", 6), ("val", 3)])
    def test_held_out_splits_have_as_many_pairs_of_each_kind(self, split: str, expected: int):
        kinds = Counter(motion.kind for motion in classes()[split].values())
        assert kinds == {"reversal": 2 * expected, "swap": 2 * expected}

    def test_do_not_depend_on_the_process(self):
        """Which pairs are held out is drawn; a class that changes its split changes every bank."""
        names = "\n".join(f"{split} {name}" for split in classes() for name in classes()[split])
        assert hashlib.sha256(names.encode()).hexdigest() == (
            "551ed33c7f02f1fea34b81e446e6a8a0dadeb3eb3ea0e5b34531d4b02da42f73"
        )

    def test_move_differently(self):
        """Whatever is drawn at random, no two classes ask for the same motion."""
        motions = {name: turned(motion) for name, motion in EVERY_CLASS.items()}
        for one, other in combinations(motions, 2):
            a, b = motions[one], motions[other]
            assert a.shape != b.shape or abs(a - b).max() > 0.03, (one, other)


def turned(motion: MotionClass) -> np.ndarray:
    """Motions in their class's heading, whatever the starting position: (actors, frames, 5)."""
    cosine, sine = np.cos(2 * np.pi * motion.heading), np.sin(2 * np.pi * motion.heading)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    found = np.stack(tables(motion))
    found[..., :2] = (found[..., :2] - found[:1, :1, :2]) @ rotation
    return found


def test_the_partner_of_a_reversal_is_the_verb_played_backwards_and_another_motion():
    for one, other in pairs("reversal"):
        assert one.heading == other.heading
        for forward, backward in zip(tables(one), tables(other), strict=True):
            np.testing.assert_allclose(backward[::-1], forward, atol=1e-12)
        assert abs(np.stack(tables(one)) - np.stack(tables(other))).max() > 0.1, one.name


def test_the_partner_of_a_swap_does_the_same_two_things_in_the_other_order():
    early, late = np.linspace(0.0, 0.5, 21), np.linspace(0.5, 1.0, 21)
    ends = np.array([0.0, 1.0])
    for one, other in pairs("swap"):
        first, second = one.name.split("-then-")
        assert {first, second} <= set(PRIMITIVES)
        assert other.name == f"{second}-then-{first}"
        for a, b in ((one, other), (other, one)):
            done_first, done_last = changes(a, early), changes(b, late)
            np.testing.assert_allclose(done_first, done_last, atol=1e-12)
            assert abs(done_first - done_first[0]).max() > 0.05, "something is done"
        np.testing.assert_allclose(changes(one, ends), changes(other, ends), atol=1e-12)
        # They start and end alike, so that neither the first frame nor the last tells anything.
        (track,), (other_track,) = tables(one), tables(other)
        np.testing.assert_allclose(track[[0, -1]], other_track[[0, -1]], atol=1e-12)
        assert abs(track - other_track).max() > 0.05


def changes(motion: MotionClass, phase: np.ndarray) -> np.ndarray:
    """What happens to the actor from the first phase on: moves, turns, and factors."""
    (actor,) = tables(motion, phase)
    return np.concatenate([actor[:, :3] - actor[0, :3], actor[:, 3:] / actor[0, 3:]], axis=1)


def test_listing_a_split_renders_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    type(RENDERED)().split("val")
    assert not list(tmp_path.iterdir())


def staging(name: str) -> scene.Staging:
    """What a video shows, by the video's name."""
    motion, group, clip, source = parsed(name)
    split = next(split for split, found in classes().items() if motion.name in found)
    return scene.stage(split, motion, group, clip, source.frames)


def parsed(name: str) -> tuple[MotionClass, int, int, Source]:
    label, group, clip = name.rsplit("_", 2)
    return EVERY_CLASS[label], int(group[1:]), int(clip[1:]), SOURCES.get(int(group[1:]), PHONE)


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


class TestLooks:
    @pytest.mark.parametrize("name", ["push-right", "grow-then-turn", "vanish"])
    def test_do_not_depend_on_the_verb(self, name: str):
        """The same key with any other class's motion: only what the two actors do differs.

        A verb that took one draw more or less would change the camera, the film or the
        distractors, which are drawn around it.
        """
        motion = EVERY_CLASS[name]
        expected = scene.stage("test", motion, 3, 1, 16)
        for other in EVERY_CLASS.values():
            found = scene.stage("test", replace(other, name=name), 3, 1, 16)
            assert found.setting == expected.setting
            assert looks(found) == looks(expected)

    def test_always_show_two_actors(self):
        for name in EVERY_CLASS:
            found = staging(f"{name}_g01_c01")
            assert tuple(body for body, _ in found.objects[-2:]) == found.setting.actors

    def test_are_shared_by_a_group_and_by_no_other(self):
        motion = EVERY_CLASS["push-right"]
        settings = [
            scene.stage("test", motion, group, clip, 16).setting
            for group in (1, 2)
            for clip in (1, 2)
        ]
        assert settings[0] == settings[1] != settings[2] == settings[3]

    def test_of_clips_of_a_group_differ_in_film_and_camera(self):
        one, other = staging("push-right_g01_c01"), staging("push-right_g01_c02")
        assert one.noise_key != other.noise_key
        assert (one.camera_x != other.camera_x).any()


def looks(found: scene.Staging) -> tuple[object, ...]:
    """All that a staging holds but the tracks of its two actors."""
    still = [(body, table(track).tolist()) for body, track in found.objects[:-2]]
    actors = [body for body, _ in found.objects[-2:]]
    camera = (found.camera_x.tolist(), found.camera_y.tolist())
    film = (found.gain.tolist(), found.noise, found.noise_key)
    return still, actors, camera, film, found.occluder


PIXELS = {
    "push-right_g01_c01": "cc2480c3ebf3ca96f4f3d8655e8c67e62e5d270ced16e89a4da201862eec16ff",
    "drop-right_g07_c02": "246bcd10e53404084c554696ad3748dfde0f2af8ab9c620afbc998664bcca15f",
    "spin-clockwise_g19_c01": "4f67d4cad07c9fb4b272c6b6622eda23db16cc63219b3de5d4fae5b5968ea676",
    "appear_g02_c01": "c38133722208c5eaf22b24358831c1b318ba5259a0a820e1751b2743b6480dea",
    "grow-then-shake_g20_c02": "22d21be0adecbbeb3e5a314fa94a43eb93ddaefa274c4ca6cab50a71ea8d8460",
    "arc-right-counter_g03_c02": "0ed6842623f6cceec1002973e1db72e04ac4e774249dc72700b224ce9c004624",
    "move-up_g19_c02": "29e9b7b68413f31a231629e6d69bddba3484a7452bc5cb87c0f7f2d9eea6e83b",
    "unturn-then-right_g05_c01": "d7b19a8111f2aec3870508a9bd756c5d46cb1f707bf543bb2dc538acc7ce6e37",
    "orbit-clockwise_g30_c01": "ee2e324f4f3158687bffb1a83c86fab4bba6b12a2e34f3765428f3bffeeac81d",
    "swap-counter_g20_c01": "073fb2e15d7bdd1e6afac692af19321ea62e631dba2ff57a47708455c320d33b",
}


@pytest.mark.parametrize("name", PIXELS)
def test_drawing_never_changes_by_a_pixel(name: str):
    """Nobody downloads this dataset: everybody draws it, so everybody must draw the same.

    Shapes are decided in integers after one rounding to a sixteenth of a pixel; only there could
    another mathematics library matter, and only at a tie. A wanted change raises `scene.VERSION`.
    """
    assert sha256(raster.draw(staging(name))) == PIXELS[name]


def test_actor_out_of_the_frame_is_not_drawn_elsewhere():
    """Far out in each direction: the picture is that without it."""
    found = staging("push-right_g01_c01")
    body, track = found.objects[-1]
    without = raster.draw(replace(found, objects=found.objects[:-1]))
    for dx, dy in ((3, 0), (-3, 0), (0, 3), (0, -3)):
        away = (body, replace(track, x=track.x + dx, y=track.y + dy))
        drawn = raster.draw(replace(found, objects=(*found.objects[:-1], away)))
        assert (drawn == without).all()
    assert (raster.draw(found) != without).any()


DECODED = {
    "push-right_g01_c01": (
        PHONE,
        "f4881a731217cb043f46110210ac1e9e348ab055ef98f706b734e95f8d7b6b40",
    ),
    "spin-clockwise_g19_c01": (
        WEB,
        "478bcdeb76f5773aad14606d44c551288df00326a1348155f4741f44bb5c8298",
    ),
    "grow-then-shake_g20_c02": (
        ARCHIVE,
        "7d465b2cb6c797b23e6c8b4643d9a05119ac3bc0001e9ef3441512a702ca872b",
    ),
}
"""A video of each source, and the hash of its frames in RGB."""


@pytest.mark.parametrize("video", DECODED)
def test_files_are_without_loss(video: str, tmp_path: Path):
    source, expected = DECODED[video]
    assert parsed(video)[3] == source
    planes = raster.draw(staging(video))
    frames = [av.VideoFrame.from_ndarray(frame, format="yuv420p") for frame in planes]
    path, again, threads = (tmp_path / f"{name}.{source.suffix}" for name in "abc")
    encoding.encode(path, planes, source)

    with av.open(path) as file:
        stream = file.streams.video[0]
        assert stream.average_rate == source.frames_per_second
        found = [frame.to_ndarray() for frame in file.decode(stream)]
    assert (np.stack(found) == planes).all()
    # decord brings a libav of its own: two programs agree on every pixel.
    shown = decord.VideoReader(str(path))[:].asnumpy()
    assert (shown == np.stack([frame.to_ndarray(format="rgb24") for frame in frames])).all()
    # Where this alone fails, colours are converted otherwise on this machine.
    assert sha256(decoded(path, len(planes), "segment-centres")) == expected

    # Features are kept by the hash of these bytes: rendering again must not lose them.
    encoding.encode(again, planes, source)
    assert again.read_bytes() == path.read_bytes()

    with av.open(threads, "w", source.container) as file:
        stream = file.add_stream(
            source.codec, rate=source.frames_per_second, options=dict(source.options)
        )
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        stream.codec_context.thread_count = 3
        for frame in frames:
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert (decord.VideoReader(str(threads))[:].asnumpy() == shown).all()


class FailingHalfWay(np.ndarray):
    def __iter__(self):
        yield from np.asarray(self)[:12]
        raise RuntimeError("half way")


def test_a_failing_encoder_leaves_no_file(tmp_path: Path):
    planes = raster.draw(staging("grow-then-shake_g20_c02")).view(FailingHalfWay)
    with pytest.raises(RuntimeError, match="half way"):
        encoding.encode(tmp_path / "video.mkv", planes, ARCHIVE)
    assert not list(tmp_path.iterdir())


def modified(files: Sequence[VideoFile]) -> dict[Path, int]:
    return {file.path: file.path.stat().st_mtime_ns for file in files}


FEW = tuple(
    video
    for video in RENDERED.split("val").videos
    if video.label == "move-up" and video.group in {"g01", "g19", "g20"}
)[:5]
"""Videos of one class, of all three kinds of source."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds these few."""
    folder = tmp_path_factory.mktemp("original")
    seen: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, str(folder))
        RENDERED.files("val", FEW, lambda *step: seen.append(step))
    assert seen == [(done, 5) for done in range(1, 6)]
    return folder


@pytest.fixture
def cache(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil."""
    shutil.copytree(original, tmp_path / "cache")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestFilesOnDemand:
    def files(self, report=NOTHING) -> list[VideoFile]:
        return RENDERED.files("val", FEW, report)

    def test_whole_files_are_not_rendered_again_and_no_others_are(self, cache: Path):
        paths = sorted(path for path in cache.rglob("*_g*") if not path.name.startswith("."))
        before = {path: path.stat().st_mtime_ns for path in paths}
        assert [path.stem for path in before] == sorted(video.name for video in FEW)
        found = self.files(report=lambda done, total: pytest.fail("something was rendered"))
        assert modified(found) == before

    def test_files_show_their_videos_in_the_order_asked_for(self, cache: Path):
        backwards = FEW[::-1]
        found = RENDERED.files("val", backwards, NOTHING)
        assert tuple(file.video for file in found) == backwards
        for file in found:
            assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
            source = parsed(file.video.name)[3]
            assert file.path.suffix == f".{source.suffix}"
            with av.open(file.path) as opened:
                planes = np.stack([frame.to_ndarray() for frame in opened.decode(video=0)])
            assert len(planes) == source.frames
            assert (planes == raster.draw(staging(file.video.name))).all()

    @pytest.mark.parametrize("harm", ["damaged", "truncated", "deleted", "not noted"])
    def test_spoilt_file_is_rendered_anew_and_no_other(self, cache: Path, harm: str):
        whole = self.files()
        before, victim = modified(whole), whole[2].path
        spoil(victim, harm)
        seen: list[tuple[int, int]] = []
        again = self.files(report=lambda *step: seen.append(step))
        assert seen == [(1, 1)]
        assert [file.sha256 for file in again] == [file.sha256 for file in whole]
        after = modified(again)
        assert {path for path in after if after[path] != before[path]} == {victim}
        assert victim.read_bytes() == whole[2].path.read_bytes()

    def test_manifest_cut_short_heals(self, cache: Path):
        whole = self.files()
        manifest = whole[0].path.parent / MANIFEST
        text = manifest.read_text()
        manifest.write_text(text[:-20])
        seen: list[tuple[int, int]] = []
        again = self.files(report=lambda *step: seen.append(step))
        assert seen == [(1, 1)]
        assert [file.sha256 for file in again] == [file.sha256 for file in whole]
        self.files(report=lambda done, total: pytest.fail("the manifest did not heal"))

    def test_state_counts_what_is_there(self, cache: Path):
        assert RENDERED.state() == (
            "ready: rendered when needed (0 of 3840 train, 5 of 480 val, 0 of 960 test"
            " videos in the cache)"
        )


def spoil(path: Path, harm: str) -> None:
    if harm == "damaged":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "deleted":
        path.unlink()
    else:
        manifest = path.parent / MANIFEST
        lines = manifest.read_text().splitlines()
        kept = [line for line in lines if line and json.loads(line)["file"] != path.name]
        manifest.write_text("\n".join(kept))


def noted_files(folder: Path) -> list[Path]:
    """Files that their manifest knows."""
    return [
        manifest.parent / json.loads(line)["file"]
        for manifest in folder.rglob(MANIFEST)
        for line in manifest.read_text().splitlines()
        if line.endswith("}")
    ]


def test_killed_worker_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr("episodes.datasets.rendered.ALONE", 0)

    def kill_worker(done: int, total: int) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()

    with pytest.raises(UserError, match=r"was killed.*run the command again: finished .* kept"):
        RENDERED.files("val", FEW, kill_worker)
    assert 0 < len(noted_files(tmp_path)) < len(FEW)
