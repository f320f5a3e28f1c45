"""From video files to stored features: order, bounded memory, files that cannot be decoded."""

import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.backbone import Backbone, InputSpec
from bench.features import clips, filling
from bench.features.backbones import LoadedBackbone
from bench.features.embedding import Target, embed_missing
from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.cache import ENVIRONMENT_VARIABLE
from episodes.decoding.media import content_sha256
from episodes.decoding.readers import default_decoder
from episodes.decoding.readings import Reading, Readings
from episodes.decoding.sampling import Sampling
from episodes.errors import UserError
from episodes.split import Video, VideoFile
from tests.conftest import make_video
from tests.synthetic import CPU, NOTHING, embed

SPEC = InputSpec(2, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SHAPE = FeatureShape(3, 2, 1, 1)
FILES = 300


class Means(Backbone):
    """Mean of each frame and colour."""

    name, revision, source, pretraining = "means", 1, "test", "none"
    input, channels, grid = SPEC, 3, (2, 1, 1)

    def forward(self, batch: Tensor) -> Tensor:
        assert len(batch) == filling.BATCH
        return batch.mean(dim=(3, 4), keepdim=True)


def file_of(number: int) -> VideoFile:
    return VideoFile(Video("a", f"{number}", f"{number}"), Path(f"{number}"), f"{number:064x}")


def clip_of(number: int) -> Tensor:
    return torch.full((3, 2, 4, 4), float(number))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path, {"test": "embedding"}, SHAPE)


def embedded(store: FeatureStore, files: list[VideoFile], progress=NOTHING) -> None:
    targets = [Target(store, LoadedBackbone(Means(), "0"), "segment-centres")]
    embed_missing(targets, files, CPU, progress)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch):
    """Decode by taking the file's name for every pixel, as fast or slowly as it comes."""

    def decode(file: VideoFile, spec: InputSpec, sampling: str, decoder: str) -> Tensor:
        time.sleep(int(file.path.name) * 7 % 5 / 4000)
        if file.path.name in ("7", "150"):
            raise UserError(f"{file.path}: cannot be decoded")
        return clip_of(int(file.path.name))

    monkeypatch.setattr(clips, "load_clip", decode)


def test_each_video_gets_its_own_features_and_bad_ones_are_named_together(store, decoding):
    told = []
    with pytest.raises(UserError, match=r"7: cannot[^$]*150: cannot"):
        embedded(store, [file_of(i) for i in range(FILES)], lambda *said: told.append(said))
    good = [i for i in range(FILES) if i not in (7, 150)]
    found = store.read([file_of(i).sha256 for i in good])
    np.testing.assert_array_equal(found[:, 0, 0, 0, 0], good)
    bad = [file_of(7).sha256, file_of(150).sha256]
    assert store.missing(bad) == sorted(bad)
    assert told[-1] == (FILES, FILES)


def test_what_is_stored_is_not_decoded_again(store, decoding, monkeypatch: pytest.MonkeyPatch):
    files = [file_of(i) for i in range(10, 40)]
    embedded(store, files)
    monkeypatch.setattr(clips, "load_clip", lambda *_: pytest.fail("decoded again"))
    embedded(store, files)


@pytest.mark.parametrize(("sampling", "ahead"), [("linspace", 40), ("3 x linspace", 14)])
def test_memory_of_clips_ahead_is_bounded_and_more_than_a_batch(
    sampling: str, ahead: int, monkeypatch: pytest.MonkeyPatch
):
    ahead_of_shown: list[int] = []
    shown: list[object] = []

    def decode(file: VideoFile, spec: InputSpec, sampling: str, decoder: str) -> Tensor:
        ahead_of_shown.append(int(file.path.name) - len(shown))
        return clip_of(0)

    monkeypatch.setattr(clips, "load_clip", decode)
    monkeypatch.setattr(clips, "AHEAD_BYTES", 40 * clip_of(0).nbytes)
    taken = clips.load_clips([file_of(i) for i in range(FILES)], SPEC, sampling)
    assert clips.videos_ahead(SPEC, sampling) == ahead
    assert 2 * filling.BATCH <= 40
    for _ in range(34):
        shown.append(next(taken))
    deadline = time.monotonic() + 60
    while len(ahead_of_shown) < 34 + ahead - 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    taken.close()
    assert len(ahead_of_shown) == 34 + ahead - 1
    assert max(ahead_of_shown) < ahead


def test_a_shard_that_cannot_be_written_stops_the_work(store, decoding, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(OSError, match="no space left"):
        embedded(store, [file_of(i) for i in range(10, 200)])


def test_frames_of_several_samplings_are_decoded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))
    paths = [make_video(tmp_path / f"{number}.mp4", frames=9 + number) for number in range(3)]
    files = [VideoFile(Video("a", one.name, one.name), one, content_sha256(one)) for one in paths]
    rules = ("segment-centres", "middle-frame", "2 x linspace")
    asked: list[tuple[str, object]] = []
    load = clips.load_clip

    def noted(file: VideoFile, spec: InputSpec, sampling: Sampling, decoder: str) -> Tensor:
        asked.append((file.path.name, sampling))
        return load(file, spec, sampling, decoder)

    monkeypatch.setattr(clips, "load_clip", noted)

    def fill(name: str, files: list[VideoFile], *samplings: str) -> list[FeatureStore]:
        stores = [FeatureStore(tmp_path / name, {"rule": rule}, SHAPE) for rule in samplings]
        loaded = LoadedBackbone(Means(), "0")
        targets = [Target(one, loaded, rule) for one, rule in zip(stores, samplings, strict=True)]
        embed_missing(targets, files, CPU, NOTHING)
        return stores

    alone = [fill("alone", files, rule)[0] for rule in rules]
    fill("together", files[:1], "middle-frame")
    asked.clear()
    together = fill("together", files, *rules)
    assert sorted(asked) == [("0.mp4", rules[::2]), ("1.mp4", rules), ("2.mp4", rules)]
    keys = [Readings(default_decoder()).key(file) for file in files]
    maps = [store.read(keys) for store in together]
    np.testing.assert_array_equal(maps, [store.read(keys) for store in alone])
    assert len(np.unique(maps, axis=0)) == 3


def test_how_a_video_was_read_is_known_though_the_cache_was_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Or its features would be stored as those of the preferred reader."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    readings = Readings("decord")
    for sha256 in ("a" * 64, "b" * 64):
        readings.add(sha256, Reading("av", 10))
        assert readings.get(sha256) == Reading("av", 10)
        shutil.rmtree(tmp_path / "videos")


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (
            lambda batch: batch.mean(dim=(2, 3, 4), keepdim=True),
            r"gave maps of shape \(16, 3, 1, 1",
        ),
        (lambda batch: batch.mean(dim=9), "backbone means failed: IndexError: Dimension out"),
    ],
)
def test_a_backbone_that_fails_or_declares_another_shape_is_named(forward, said: str):
    backbone = Means()
    vars(backbone)["forward"] = forward
    with pytest.raises(UserError, match=said):
        embed(backbone, [clip_of(0)])


def test_an_interrupt_stores_whole_videos_or_none(store, monkeypatch: pytest.MonkeyPatch):
    calls = iter(range(100))

    class Interrupted(Means):
        def forward(self, batch: Tensor) -> Tensor:
            if next(calls) == 4:
                raise KeyboardInterrupt
            return super().forward(batch)

    thrice = lambda file, *_: clip_of(int(file.path.name)).repeat(1, 3, 1, 1)  # noqa: E731 - clips
    monkeypatch.setattr(clips, "load_clip", thrice)
    files = [file_of(number) for number in range(32)]
    targets = [Target(store, LoadedBackbone(Interrupted(), "0"), "3 x linspace")]
    with pytest.raises(KeyboardInterrupt):
        embed_missing(targets, files, CPU, NOTHING)
    stored = [file for file in files if not store.missing([file.sha256])]
    assert len(stored) == 16
    found = store.read([file.sha256 for file in stored])
    np.testing.assert_array_equal(found[:, 0, 0, 0, 0], range(16))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_decoding_steps_back_behind_the_backbone_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(clips, "load_clip", lambda *_: torch.tensor(os.nice(0)))
    before = os.nice(0)
    [(_, found)] = clips.load_clips([file_of(0)], SPEC, "linspace")
    assert found == min(19, before + clips.NICENESS)  # 19 is the most there is
    assert os.nice(0) == before
