"""Features that somebody else computed: read, checked, identified; ours in the same form."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import safetensors.numpy

from bench.features.backbones import load_backbone
from bench.features.files import FeatureCard, check_origin, write_features
from bench.features.given import GivenFeatures
from bench.method import Method
from bench.runs.directory import read_run
from episodes.banks.bank import open_bank
from episodes.decoding.clips import decoder_identity
from episodes.errors import UserError
from episodes.split import Video
from tests.command import refused, succeeds
from tests.synthetic import CPU

EPISODES = "4"
VIDEOS = [Video(f"class-{number % 3}", f"g{number}", f"video-{number}.mp4") for number in range(6)]
NAMES = [f"{video.label}/{video.name}" for video in VIDEOS]


def ones(_: slice) -> np.ndarray:
    return np.ones((1, 3, 1, 1, 1), "f4")


def arrays(*shape: int) -> dict[str, np.ndarray]:
    """Features of the videos, by their names without suffix."""
    noise = np.random.default_rng(0)
    return {name.removesuffix(".mp4"): noise.random(shape, dtype=np.float32) for name in NAMES}


def as_files(folder: Path, found: dict[str, np.ndarray], suffix: str = ".npy") -> Path:
    for name, array in found.items():
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npy":
            np.save(path, array)
        elif suffix == ".npz":
            np.savez(path, array)
        else:
            safetensors.numpy.save_file({"x": array}, path)
    return folder


def as_npz(folder: Path, found: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "all.npz", names=list(found), features=np.stack(list(found.values())))
    return folder


def as_safetensors(folder: Path, found: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(found, folder / "all.safetensors")
    return folder / "all.safetensors"


def as_npy(folder: Path, found: dict[str, np.ndarray]) -> Path:
    np.save(folder / "all.npy", np.stack(list(found.values())))
    (folder / "all.txt").write_text("\n".join(found))
    return folder


FORMS: list[Callable[[Path, dict[str, np.ndarray]], Path]] = [
    as_files,
    lambda folder, found: as_files(folder, found, ".npz"),
    lambda folder, found: as_files(folder, found, ".safetensors"),
    as_npz,
    as_safetensors,
    as_npy,
]


@pytest.mark.parametrize("write", FORMS)
@pytest.mark.parametrize("shape", [(7,), (4, 7), (7, 4, 2, 3)])
def test_every_form_and_shape_gives_the_same_maps(
    write: Callable[[Path, dict[str, np.ndarray]], Path], shape: tuple[int, ...], tmp_path: Path
):
    found = arrays(*shape)
    given = GivenFeatures(write(tmp_path, found))
    files = given.files(VIDEOS)
    maps = given.read([file.sha256 for file in files])
    wanted = {1: (7, 1, 1, 1), 2: (7, 4, 1, 1), 4: (7, 4, 2, 3)}[len(shape)]
    assert tuple(given.shape) == wanted
    assert maps.shape == (6, *wanted)
    first = found["class-0/video-0"]
    expected = first.T if len(shape) == 2 else first
    np.testing.assert_array_equal(maps[0], expected.reshape(wanted))
    assert [file.sha256 for file in files] != sorted(file.sha256 for file in files)


def test_two_files_of_one_video_are_refused(tmp_path: Path):
    folder = as_files(as_files(tmp_path, arrays(7)), arrays(7), ".npz")
    with pytest.raises(UserError, match=r"video-0\.npy and video-0\.npz are the same video"):
        GivenFeatures(folder)


@pytest.mark.parametrize("name", ["t.npz", ""])
def test_exported_features_that_may_not_be_read_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused_by_the_system(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    write_features(tmp_path / name, ["a/b"], ones, FeatureCard())
    monkeypatch.setattr("bench.features.files.file_sha256", refused_by_the_system)
    with pytest.raises(UserError, match=r"cannot be read as features: .*Permission denied"):
        GivenFeatures(tmp_path / name)


@pytest.mark.parametrize("names", [("one.npz", "two.npz"), ("", "")])
@pytest.mark.parametrize(
    "other",
    [
        {"backbone": "clip"},
        {"sampling": "linspace"},
        {"resize": 60},
        {"decoder": "av 1"},
        {"device": "cuda"},
        {"source_sha256": "abc"},
    ],
)
def test_features_of_another_origin_get_a_folder_of_their_own(
    names: tuple[str, str], other: dict[str, Any], tmp_path: Path
):
    def write(name: str, card: FeatureCard) -> None:
        write_features(tmp_path / name, ["a/b"], ones, card)

    first, second = names
    card = FeatureCard(backbone="motion", sampling="segment-centres", resize=None, decoder="av 14")
    write(first, card)
    write(second, card)  # as after an interrupt
    ((field, value),) = other.items()
    with pytest.raises(UserError, match=rf"of another origin: {field} is .*, not {value}"):
        write(second, card.changed(**other))
    assert dict(GivenFeatures(tmp_path / first).card) == dict(card) | {"files": ANY}


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (None, r"holds theirs\.npy, and no features\.json says what made it"),
        ({"backbone": "motion"}, r"sampling is none in its features\.json, not linspace"),
    ],
)
def test_features_of_unknown_origin_are_called_so(
    card: dict[str, str] | None, said: str, tmp_path: Path
):
    np.save(tmp_path / "theirs.npy", np.ones(3))
    if card is not None:
        (tmp_path / "features.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=said):
        check_origin(tmp_path / "all.npz", FeatureCard(backbone="motion", sampling="linspace"))


def test_an_interrupted_export_can_be_completed(tmp_path: Path):
    def interrupted(part: slice) -> np.ndarray:
        if part.start == 1:
            raise KeyboardInterrupt
        return ones(part)

    card = FeatureCard(backbone="motion", sampling="linspace")
    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path, ["a/b", "a/c"], interrupted, card)
    with pytest.raises(UserError, match=r"sampling is linspace .*, not middle-frame"):
        write_features(tmp_path, ["a/b"], interrupted, card.changed(sampling="middle-frame"))
    write_features(tmp_path, ["a/b", "a/c"], ones, card)
    assert len(list(tmp_path.glob("a/*.npy"))) == 2


def test_an_interrupted_table_has_no_names_of_an_earlier_one(tmp_path: Path, monkeypatch):
    def interrupted(path: Path, maps: np.ndarray) -> None:
        save(path, maps)
        raise KeyboardInterrupt

    save = np.save
    write_features(tmp_path / "all.npy", ["a/b"], ones, FeatureCard())
    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / "all.npy", ["a/c"], ones, FeatureCard())
    with pytest.raises(UserError, match=r"needs all\.txt beside it"):
        GivenFeatures(tmp_path / "all.npy")


@pytest.mark.parametrize("out", ["", "all.npz", "all.safetensors", "all.npy"])
def test_videos_that_differ_in_their_ending_alone_are_told_apart(out: str, tmp_path: Path):
    videos = [Video("a", name, name) for name in ("b.avi", "b.mp4", "c.avi")]
    maps = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1, 1)
    names = [f"a/{video.name}" for video in videos]
    write_features(tmp_path / out, names, lambda part: maps[part], FeatureCard())
    given = GivenFeatures(tmp_path / out)
    files = given.files(videos)
    np.testing.assert_array_equal(given.read([file.sha256 for file in files]), maps)
    (alone,) = given.files([Video("a", "c", "c.mp4")])  # made smaller meanwhile, say
    assert given.read([alone.sha256]).item() == 2
    with pytest.raises(UserError, match=r"lacks the features of 1 .*: a/b\.mov"):
        given.files([Video("a", "b", "b.mov")])


def test_features_of_one_name_are_not_taken_for_two_videos(tmp_path: Path):
    given = GivenFeatures(as_files(tmp_path, {"a/b": np.ones(3, np.float32)}))
    with pytest.raises(UserError, match=r"one set of features, a/b, for .*b\.avi and a/b\.mp4"):
        given.files([Video("a", name, name) for name in ("b.avi", "b.mp4")])


def test_files_that_a_table_would_hide_are_not_written(tmp_path: Path):
    write_features(tmp_path / "table.npz", ["a/b"], ones, FeatureCard())
    with pytest.raises(UserError, match=r"holds the table table\.npz"):
        write_features(tmp_path, ["a/b"], ones, FeatureCard())


def test_names_may_begin_with_the_mark_of_their_encoding(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.ones((1, 3)))
    (tmp_path / "a.txt").write_text("class-0/video-0\n", encoding="utf-8-sig")
    assert len(GivenFeatures(tmp_path / "a.npy").files(VIDEOS[:1])) == 1


def test_features_without_numbers_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", names=np.array(["a/b"]), features=np.ones((1, 0)))
    with pytest.raises(UserError, match="at least one"):
        GivenFeatures(tmp_path)


def test_other_numbers_have_another_hash(tmp_path: Path):
    found = arrays(7)
    before = [file.sha256 for file in GivenFeatures(as_npz(tmp_path, found)).files(VIDEOS)]
    found["class-2/video-5"][3] += 1
    after = [file.sha256 for file in GivenFeatures(as_npz(tmp_path, found)).files(VIDEOS)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda found: found.pop("class-0/video-3"), "lacks the features of 1 of 6 videos"),
        (lambda found: found["class-0/video-3"].fill(np.nan), "are not all finite numbers"),
        (lambda found: found.update({"class-0/video-3": np.ones(8, np.float32)}), "others have"),
        (lambda found: found.update({"class-0/video-3": np.ones(7, int)}), "floating-point"),
        (lambda found: found.update({"class-0/video-3": np.ones((7, 1, 1))}), "of shape (7, 1, 1)"),
        (lambda found: found.update({"class-0/video-3.mp4": np.ones(7)}), "twice"),
    ],
)
def test_what_does_not_do_is_refused_in_one_line(
    spoil: Callable[[dict[str, np.ndarray]], object], words: str, tmp_path: Path
):
    found = arrays(7)
    spoil(found)
    with pytest.raises(UserError) as error:
        GivenFeatures(as_files(tmp_path, found)).files(VIDEOS)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_more_than_the_bank_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = GivenFeatures(as_files(tmp_path, arrays(7)))
    given.say_extra(VIDEOS)
    assert "other" not in capsys.readouterr().err
    given.say_extra(VIDEOS[:4])
    assert "holds features of 2 other videos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (None, "a table .npy needs all.txt beside it"),
        (["a/1"], "names are (1,), features (6, 7)"),
        (["a/1"] * 6, "5 of its names occur twice"),
    ],
)
def test_a_table_npy_without_its_names_is_refused(
    names: list[str] | None, words: str, tmp_path: Path
):
    table = as_npy(tmp_path, arrays(7)) / "all.npy"
    table.with_suffix(".txt").unlink()
    if names is not None:
        table.with_suffix(".txt").write_text("\n".join(names))
    with pytest.raises(UserError) as error:
        GivenFeatures(table)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "card", ['{"backbone": 3}', '{"backbone": "a/b"}', '{"bakbone": "a"}', "[1]", "{"]
)
def test_a_card_that_says_nothing_sensible_is_refused(card: str, tmp_path: Path):
    as_npz(tmp_path, arrays(7))
    (tmp_path / "features.json").write_text(card)
    with pytest.raises(UserError, match="is not a card of features"):
        GivenFeatures(tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the videos of a few episodes."""
    folder = tmp_path_factory.mktemp("exported") / "features"
    said = succeeds(
        "features", "export", "--episodes", EPISODES, "--device", "cpu", "--out", folder
    )
    assert "wrote features 96 x 8 x 6 x 6 of" in said
    card = json.loads((folder / "features.json").read_text())
    assert (card["backbone"], card["sampling"], card["resize"]) == ("motion", Method.sampling, None)
    assert (card["decoder"], card["device"]) == (decoder_identity(), "cpu")
    assert card["source_sha256"] == load_backbone("motion", CPU).source_sha256
    return folder


class TestRoundTrip:
    def run(self, out: Path, *words: str | Path) -> Path:
        succeeds(
            *("run", "--methods", "protonet,otam,mastaf", "--episodes", EPISODES),
            *("--device", "cpu", "--out", out, *words),
        )
        return out

    @pytest.mark.usefixtures("without_charts")
    def test_exported_features_give_the_rows_that_the_videos_give(
        self, exported: Path, tmp_path: Path
    ):
        own, given = self.run(tmp_path / "own"), self.run(tmp_path / "g", "--features", exported)
        for method in ("protonet", "otam", "mastaf"):
            one, other = read_run(own / method), read_run(given / method)
            assert one.rows["prediction"].equals(other.rows["prediction"])
            assert one.identity.weights_sha256 == other.identity.weights_sha256
            assert one.identity.videos_sha256 != other.identity.videos_sha256
        assert other.identity.features.given is True
        assert "frozen" in succeeds("tables", given)
        succeeds("report", given, "--out", tmp_path / "report.html")

    def test_another_feature_is_another_run_in_the_same_place(self, exported: Path, tmp_path: Path):
        folder = shutil.copytree(exported, tmp_path / "features")
        before = read_run(self.run(tmp_path / "out", "--features", folder) / "otam").identity
        path = next(folder.glob("*/*.npy"))
        np.save(path, np.load(path) * 2)
        words = ("run", "--methods", "otam", "--episodes", EPISODES, "--features", folder)
        assert "remove its line" in refused(*words, "--out", tmp_path / "out")
        card = json.loads((folder / "features.json").read_text())
        del card["files"][path.relative_to(folder).as_posix()]
        (folder / "features.json").write_text(json.dumps(card))
        after = read_run(self.run(tmp_path / "out", "--features", folder) / "otam").identity
        assert before.videos_sha256 != after.videos_sha256

    def test_a_table_holds_the_same(self, exported: Path, tmp_path: Path):
        for name in ("t.npz", "t.safetensors", "t.npy"):
            out = tmp_path / name
            succeeds("features", "export", "--episodes", EPISODES, "--out", out)
            bank = open_bank("default", int(EPISODES))
            videos = [bank.split.videos[index] for index in bank.used_videos()]
            hashes = [
                [file.sha256 for file in GivenFeatures(place).files(videos)]
                for place in (exported, out)
            ]
            assert hashes[0] == hashes[1]
            assert json.loads((tmp_path / "features.json").read_text())["backbone"] == "motion"
            for file in (out, tmp_path / "t.txt")[: 1 + name.endswith(".npy")]:
                whole = file.read_bytes()
                file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
                with pytest.raises(UserError, match="its sha256 differs"):
                    GivenFeatures(out)
                file.write_bytes(whole)

    def test_other_frames_are_refused_before_any_video_is_decoded(self, exported: Path):
        words = ("features", "export", "--episodes", EPISODES, "--out", exported)
        said = refused(*words, "--sampling", "linspace")
        assert "sampling is segment-centres in its features.json, not linspace" in said
        assert said.startswith("error: ")

    @pytest.mark.parametrize("option", [("--backbone", "motion"), ("--sampling", "linspace")])
    def test_options_of_videos_are_refused(self, option: tuple[str, str], exported: Path):
        assert "which --features replaces" in refused("run", "--features", exported, *option)

    def test_a_method_of_other_frames_is_refused(self, exported: Path, tmp_path: Path):
        words = ("run", "--features", exported, "--episodes", EPISODES, "--out", tmp_path)
        said = refused(*words, "--methods", "protonet,single-frame")
        assert "single-frame samples frames by a rule of its own" in said
