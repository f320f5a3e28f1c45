"""The feature store: whole or not there, never stale, never twice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.backbone import InputSpec
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.embedding import embedded_together
from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.errors import UserError
from episodes.split import Video, VideoFile
from tests.synthetic import CPU, NOTHING

SHAPE = FeatureShape(3, 2, 1, 1)
IDENTITY = {"backbone": "x", "weights_sha256": "1"}


def features_of(*videos: str) -> np.ndarray:
    """Features that depend on the video alone."""
    return np.stack([np.full(SHAPE, hash(video) % 1000, dtype=np.float32) for video in videos])


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path, IDENTITY, SHAPE)
    store.write(["a", "b", "c"], features_of("a", "b", "c"), seconds=1.5)
    store.write(["d"], features_of("d"), seconds=0.5)
    return store


def test_what_was_written_is_read_in_the_order_asked_for(store: FeatureStore):
    np.testing.assert_array_equal(store.read(["d", "a", "d", "c"]), features_of("d", "a", "d", "c"))


def test_a_store_opened_again_holds_the_same(store: FeatureStore, tmp_path: Path):
    again = FeatureStore(tmp_path, IDENTITY, SHAPE)
    assert again.missing(["a", "d", "e", "e"]) == ["e"]
    np.testing.assert_array_equal(again.read(["b"]), features_of("b"))
    assert again.clips_per_second == pytest.approx(2.0)


def test_another_identity_is_another_store(store: FeatureStore, tmp_path: Path):
    for changed in ({"weights_sha256": "2"}, {"new": 1}):
        assert FeatureStore(tmp_path, IDENTITY | changed, SHAPE).missing(["a"]) == ["a"]


def test_features_of_another_shape_are_not_spread_over_the_declared_one(
    store: FeatureStore, tmp_path: Path
):
    other = FeatureStore(tmp_path, IDENTITY, SHAPE._replace(height=2))
    assert other.missing(["a"]) == ["a"]


def test_a_shard_of_another_store_is_removed(
    store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = FeatureStore(tmp_path, IDENTITY | {"weights_sha256": "2"}, SHAPE)
    for path in store.folder.glob("[!.i]*"):
        shutil.copy(path, other.folder)
    assert FeatureStore(tmp_path, IDENTITY | {"weights_sha256": "2"}, SHAPE).missing("ad") == [
        "a",
        "d",
    ]
    assert "it is of another store" in capsys.readouterr().err
    assert store.missing("ad") == []


def test_a_shard_of_an_older_version_is_read(store: FeatureStore, tmp_path: Path):
    for path in store.folder.glob("*.shard.json"):
        content = json.loads(path.read_text())
        del content["store"]
        path.write_text(json.dumps(content))
    assert FeatureStore(tmp_path, IDENTITY, SHAPE).missing("abcd") == []


def test_a_shard_without_its_index_does_not_exist(store: FeatureStore, tmp_path: Path):
    # A kill between the two files of a shard.
    (index,) = (one for one in store.folder.glob("*.shard.json") if '"d"' in one.read_text())
    index.unlink()
    assert FeatureStore(tmp_path, IDENTITY, SHAPE).missing("abcd") == ["d"]


@pytest.mark.parametrize(
    "harm", [lambda data: data.write_bytes(data.read_bytes()[:-1]), Path.unlink]
)
def test_a_shard_that_was_cut_short_or_vanished_is_not_used(
    store: FeatureStore, tmp_path: Path, harm: Callable[[Path], object]
):
    for data in store.folder.glob("*.npy"):
        harm(data)
    assert FeatureStore(tmp_path, IDENTITY, SHAPE).missing("abcd") == list("abcd")


def test_a_damaged_shard_is_named_and_its_videos_are_made_again(
    store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = max(store.folder.glob("*.npy"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="repeat the command"):
        FeatureStore(tmp_path, IDENTITY, SHAPE).read(["a"])
    opened = FeatureStore(tmp_path, IDENTITY, SHAPE)
    assert opened.missing("abcd") == list("abc")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {data.with_suffix('.shard.json')} is damaged")
    assert said.count("\n") == 1
    assert not data.with_suffix(".shard.json").exists()
    opened.write(["a", "b", "c"], features_of("a", "b", "c"), seconds=1.5)
    np.testing.assert_array_equal(opened.read(list("abcd")), features_of(*"abcd"))
    assert FeatureStore(tmp_path, IDENTITY, SHAPE).missing("abcd") == []


def test_unfinished_files_of_a_killed_writer_are_passed_over(store: FeatureStore, tmp_path: Path):
    (store.folder / ".123.unfinished.npy").write_bytes(b"half")
    (store.folder / ".123.unfinished.json").write_text("{")
    assert FeatureStore(tmp_path, IDENTITY, SHAPE).missing("ad") == []


def test_two_writers_do_not_disturb_each_other(store: FeatureStore, tmp_path: Path):
    other = FeatureStore(tmp_path, IDENTITY, SHAPE)
    other.write(["e", "a"], features_of("e", "a"), seconds=1.0)
    store.write(["e"], features_of("e"), seconds=1.0)
    merged = FeatureStore(tmp_path, IDENTITY, SHAPE)
    assert merged.missing("abcde") == []
    np.testing.assert_array_equal(merged.read(list("abcde")), features_of(*"abcde"))


def test_the_identity_can_be_read_by_people(store: FeatureStore):
    assert json.loads((store.folder / "identity.json").read_text()) == IDENTITY


def test_a_message_names_five_videos_that_cannot_be_read_and_counts_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def load(file: VideoFile, *_: object) -> torch.Tensor:
        raise UserError(f"{file.path} is damaged")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("bench.features.clips.load_clip", load)
    files = [VideoFile(Video("a", "g", str(n)), Path(f"{n}.mp4"), str(n)) for n in range(7)]
    with pytest.raises(UserError) as said:
        embedded_together([(load_backbone("motion", CPU), "linspace")], files, CPU, NOTHING)
    lines = str(said.value).splitlines()
    assert lines[:6] == [*(f"{n}.mp4 is damaged" for n in range(5)), "... and 2 more"]
    assert lines[6].startswith("7 videos cannot be read; `fvbench run --allow-missing`")


def test_several_backbones_embed_a_video_that_was_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    decoded: list[str] = []

    def load(file: VideoFile, spec: InputSpec, sampling: str, decoder: str) -> torch.Tensor:
        decoded.append(file.sha256)
        generator = torch.Generator().manual_seed(int(file.sha256))
        return torch.randn(3, spec.frames, spec.size, spec.size, generator=generator)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("bench.features.clips.load_clip", load)
    files = [VideoFile(Video("a", "g", str(n)), Path(str(n)), str(n)) for n in range(3)]
    shipped = load_backbone("motion", CPU)
    torch.manual_seed(0)
    other = LoadedBackbone(type(shipped.backbone)().eval(), "other")
    wanted = [(one, "linspace") for one in (shipped, other)]
    embedded_together(wanted[1:], files[:1], CPU, NOTHING)
    stores = embedded_together(wanted, files, CPU, NOTHING)
    assert sorted(decoded) == ["0", "0", "1", "2"]
    of_shipped, of_other = (store.read(["0", "1", "2"]) for store in stores)
    (alone,) = embedded_together([(shipped, "segment-centres")], files, CPU, NOTHING)
    np.testing.assert_array_equal(alone.read(["0", "1", "2"]), of_shipped)
    assert np.abs(of_shipped - of_other).max() > 0.1
