"""Banks of a user's own: made, frozen, exported, run, and everything that follows from runs."""

import errno
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench.runs.directory import read_run
from episodes.banks.bank import open_bank
from tests.command import call, refused, succeeds
from tests.conftest import make_video, videos_of

pytestmark = pytest.mark.usefixtures("own_config")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of three recordings with one video each."""
    folders = [f"class-{label}/recording-{take}" for label in range(4) for take in range(3)]
    return videos_of(tmp_path_factory.mktemp("own") / "videos", folders, 1)


def lists_of(videos: Path, folder: Path) -> Path:
    """All classes test."""
    folder.mkdir(exist_ok=True)
    lines = [path.relative_to(videos).as_posix() for path in sorted(videos.glob("*/*/*.mp4"))]
    (folder / "test.txt").write_text("\n".join(lines) + "\n")
    return folder


def new(videos: Path, folder: Path) -> Path:
    file = folder / "mine-3w1s.toml"
    said = succeeds(
        *("bank", "new", "mine-3w1s", "--dataset", "mine", "--root", videos),
        *("--lists", lists_of(videos, folder / "lists"), "--protocol", "group-disjoint"),
        *("--way", "3", "--episodes", "30", "--out", file),
    )
    assert f"fvbench run --bank {file}" in said
    return file


def test_a_bank_is_made_and_verified(videos: Path, tmp_path: Path):
    file = new(videos, tmp_path)
    file.write_text(f"\ufeff{file.read_text()}")  # as some editors begin a file
    assert succeeds("bank", "verify", file).startswith("equal: mine-3w1s, 30 episodes")
    said = refused("bank", "new", file.stem, "--dataset", "mine", "--out", file)
    assert "nothing is overwritten" in said


def test_a_bank_is_called_like_its_file(tmp_path: Path):
    file = tmp_path / "theirs.toml"
    status, said = call("bank", "new", "ours", "--dataset", "rendered", "--out", file)
    assert (status, "ours" in said, "theirs" in said, file.exists()) == (2, True, True, False)


def test_a_bank_of_ones_own_is_not_called_like_one_of_the_programs(tmp_path: Path):
    words = ("--dataset", "rendered", "--seed", "1", "--out", tmp_path / "default.toml")
    assert "choose another name" in refused("bank", "new", "default", *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dataset", "mine", "--way", "9"), "no dataset is called 'mine'"),
        (("--dataset", "rendered", "--split", "tset"), "split is 'tset'; it should be 'train'"),
        (("--dataset", "rendered", "--protocol", "easy"), "protocol is 'easy'; it should be"),
        (("--dataset", "rendered", "--way", "90"), "data add --lists"),
        (("--dataset", "rendered", "--way", "1"), "--way"),
        (("--dataset", "rendered", "--lists", "x"), "--root FOLDER"),
    ],
)
def test_what_can_be_no_bank(options: tuple[str, ...], words: str, tmp_path: Path):
    assert words in refused("bank", "new", "x", *options, "--out", tmp_path / "x.toml")
    assert not (tmp_path / "x.toml").exists()


def test_two_classes_leave_none_to_test(tmp_path: Path):
    root = videos_of(tmp_path / "two", ["a", "b"], 2)
    succeeds("data", "add", "two", "--root", root)
    said = refused("bank", "new", "x", "--dataset", "two", "--out", tmp_path / "x.toml")
    assert "two has no test classes, only train and val" in said.replace("\n", " ")
    assert "--lists FOLDER" in said
    assert "not known" not in succeeds("data", "verify", "two", "--fast")


def test_splits_are_shown_in_their_usual_order_whatever_the_lists_are_called(tmp_path: Path):
    root = videos_of(tmp_path / "three", ["a", "b", "c"], 1, opened=False)
    (tmp_path / "lists").mkdir()
    for split, label in (("test", "a"), ("train", "b"), ("val", "c")):
        (tmp_path / "lists" / f"{split}.txt").write_text(f"{label}/0.mp4\n")
    succeeds("data", "add", "three", "--root", root, "--lists", tmp_path / "lists")
    shown = json.loads(succeeds("data", "verify", "three", "--fast", "--json"))
    assert list(shown["listed"]) == ["train", "val", "test"]


@pytest.mark.parametrize("fails", ["way", "out"])
def test_a_command_that_makes_no_bank_registers_nothing(fails: str, videos: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    out = tmp_path / ("file" if fails == "out" else ".") / "x.toml"
    options = ("--dataset", "mine", "--root", videos, "--lists", lists_of(videos, tmp_path / "l"))
    way = "9" if fails == "way" else "3"
    assert call("bank", "new", "x", *options, "--way", way, "--out", out)[0] == 2
    assert not (tmp_path / "config").exists()


def test_frozen_contents_are_checked_wherever_they_are_used(videos: Path, tmp_path: Path):
    root = shutil.copytree(videos, tmp_path / "copy")
    file = new(root, tmp_path)
    succeeds("bank", "freeze", file)
    assert open_bank(str(file)).recipe.contents_sha256
    succeeds("bank", "freeze", file)
    succeeds("bank", "verify", file)
    make_video(root / "class-0" / "recording-0" / "0.mp4", 30, (128, 64))
    run = ("run", "--bank", file, "--methods", "protonet", "--out", tmp_path / "out")
    for words, expected in ((("bank", "verify", file), 1), (("bank", "freeze", file), 1), (run, 2)):
        status, said = call(*words)
        assert (status, "contents" in said) == (expected, True)
    succeeds("bank", "freeze", file, "--again")
    succeeds("bank", "verify", file)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_lists_every_episode(suffix: str, videos: Path, tmp_path: Path):
    file, out = new(videos, tmp_path), tmp_path / f"bank{suffix}"
    succeeds("bank", "export", file, "--out", out)
    table = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    bank = open_bank(str(file))
    assert len(table) == 30 * (3 + 3)
    assert list(table.columns) == ["episode", "role", "place", "way", "label", "video", "path"]
    for number in (0, 17):
        of = table[table["episode"] == number]
        support, query = (of[of["role"] == role] for role in ("support", "query"))
        names = [f"{one.label}/{one.name}" for one in bank.split.videos]
        assert list(support["video"]) == [names[i] for i in bank.episodes.support[number].ravel()]
        assert list(query["video"]) == [names[i] for i in bank.episodes.query[number]]
        assert list(query["way"]) == bank.episodes.labels[number].tolist()
        assert list(query["place"]) == [0, 1, 2]
    assert all(Path(path).is_file() for path in table["path"])


def test_a_full_disk_leaves_the_earlier_manifest(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def half(table: pd.DataFrame, path: Path, index: bool) -> None:
        write(table[: len(table) // 2], path, index=index)
        raise OSError(errno.ENOSPC, "No space left on device")

    words = ("bank", "export", new(videos, tmp_path), "--out", tmp_path / "x.csv")
    succeeds(*words)
    write = pd.DataFrame.to_csv
    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    assert "x.csv" in refused(*words)
    assert len(pd.read_csv(tmp_path / "x.csv")) == 30 * (3 + 3)


def test_a_manifest_of_videos_that_are_gone_has_no_paths(videos: Path, tmp_path: Path):
    root = shutil.copytree(videos, tmp_path / "copy")
    file = new(root, tmp_path)
    words = ("bank", "export", file, "--episodes", "2", "--out", tmp_path / "x.csv")
    succeeds(*words)
    gone = pd.read_csv(tmp_path / "x.csv")["path"][0]
    Path(gone).unlink()
    assert "note: 1 video of" in succeeds(*words)
    table = pd.read_csv(tmp_path / "x.csv")
    assert set(table["video"][table["path"].isna()]) == {table["video"][0]}
    shutil.rmtree(root)
    assert "their lines have no path" in succeeds(*words).replace("\n", " ")
    assert pd.read_csv(tmp_path / "x.csv")["path"].isna().all()


@pytest.mark.parametrize("kind", ["recipe", "folder"])
@pytest.mark.usefixtures("without_charts")
def test_what_follows_from_runs_knows_their_bank(kind: str, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    bank = ("--bank", new(videos, tmp_path)) if kind == "recipe" else ("--data", videos)
    words = ("--methods", "protonet,otam", "--episodes", "30", "--backbone", "motion")
    succeeds("run", *bank, *words, "--out", out)
    declared = read_run(out / "otam").declared
    assert declared.recipe.dataset == ("mine" if kind == "recipe" else "videos")
    (tmp_path / "mine-3w1s.toml").unlink(missing_ok=True)
    assert "unknown" not in succeeds("compare", out, "--json")
    if kind == "recipe":
        for words in (
            ("report", out, "--out", tmp_path / "r.html"),
            ("figures", out, "--chart", "classes", "--out", tmp_path / "c.svg"),
            ("power", out),
            ("gate", out, out, "--drop", "0.5"),
        ):
            assert "videos and classes unknown" not in succeeds(*words)
        assert "videos and classes unknown" not in (tmp_path / "r.html").read_text()


def test_a_shipped_bank_is_not_repeated_in_its_runs(tmp_path: Path):
    succeeds("run", "--methods", "chance", "--episodes", "3", "--out", tmp_path)
    assert read_run(tmp_path / "chance").declared.recipe is None
