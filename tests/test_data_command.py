"""``fvbench data``, and runs on datasets of which something is missing."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from PIL import Image

from bench.machine.progress import Reporter
from bench.plugins.registry import built_in_methods
from bench.running.execute import execute
from bench.running.plan import Plan
from bench.runs.directory import read_run
from bench.weights.assignment import MethodWithWeights
from bench.weights.cards import WEIGHTS, WEIGHTS_FOLDER, read_card
from episodes.banks import bank, recipe
from episodes.banks.leakage import check_apart, contamination
from episodes.datasets import dataset
from episodes.decoding import inspection
from episodes.decoding.process import Answer
from episodes.errors import UserError
from tests.command import call, predictions, refused, succeeds
from tests.conftest import make_video
from tests.layouts import Tree, known_lists, own_registrations, pairs, write_lists
from tests.synthetic import recipe_with
from tests.video_files import packed_bitstream


@pytest.fixture(autouse=True)
def apart(tmp_path: Path) -> Iterator[None]:
    """Every test has registrations and banks of its own, and knows the small lists."""
    with own_registrations(tmp_path / "config"), known_lists(), pytest.MonkeyPatch.context() as it:
        it.setattr(recipe, "FOLDER", tmp_path / "recipes")
        (tmp_path / "recipes").mkdir()
        yield


@pytest.fixture
def ucf(tmp_path: Path) -> Tree:
    """A complete UCF101, registered, and a bank over it."""
    tree = Tree(tmp_path / "data" / "UCF-101").fill("ucf101")
    assert call("data", "add", "ucf101", "--root", tree.root)[0] == 0
    plain = recipe_with(name="ucf101-small", dataset="ucf101", episodes=60)
    frozen = bank.frozen(plain, dataset("ucf101").split("test"))
    (tmp_path / "recipes" / "ucf101-small.toml").write_text(frozen.text())
    return tree


def verified(*words: str) -> tuple[int, dict]:
    status, printed = call("data", "verify", *words, "--json")
    return status, json.loads(printed[printed.index("{") :])


def kinds(content: dict) -> dict[str, str]:
    return {one["name"]: one["kind"] for one in content["troubles"] if one["kind"] != "copy"}


class TestAdd:
    def test_a_folder_that_is_not_there_or_without_its_videos_is_refused(self, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{alias}/{video}")
        (tmp_path / "empty").mkdir()
        words = ("--root", tmp_path / "empty", "--lists", lists)
        assert "none of the videos" in refused("data", "add", "ssv2-all", *words)
        assert "no such folder" in refused("data", "add", "ucf101", "--root", tmp_path / "nowhere")

    def test_what_was_found_is_said_in_the_usual_order_of_splits(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("hmdb51")
        words = ("--root", tree.root, "--lists", write_lists(tmp_path / "lists", "hmdb51"))
        lines = succeeds("data", "add", "hmdb51", *words).splitlines()
        assert [line.partition(":")[0] for line in lines[1:4]] == ["train", "val", "test"]
        assert lines[3].startswith("test: 60 of 60 videos found")

    def test_what_is_not_complete_is_not_said_to_be_absent(self, ucf: Tree):
        for folder in ("Archery", "Punch", "ApplyLipstick"):
            next((ucf.root / folder).iterdir()).unlink()
        said = refused("data", "add", "ucf101", "--root", ucf.root)
        assert "Archery (" in said
        assert "none of the videos" not in said

    def test_a_dataset_that_moved_is_registered_again(self, ucf: Tree, tmp_path: Path):
        next((ucf.root / "Archery").iterdir()).unlink()
        assert "train: not known" in succeeds("data", "add", "ucf101", "--root", ucf.root)
        ucf.root.rename(tmp_path / "elsewhere")
        new = ("bank", "new", "x", "--dataset", "ucf101", "--split", "train")
        for words in (("data", "verify", "ucf101", "--fast"), new):
            said = refused(*words).replace("\n", " ")
            assert "if the videos have moved, register them again: `fvbench data add ucf101" in said
        said = succeeds("data", "add", "ucf101", "--root", tmp_path / "elsewhere")
        assert f"note: ucf101 was registered at {ucf.root}; its banks read the new" in said
        again = succeeds("data", "add", "ucf101", "--root", tmp_path / "elsewhere")
        assert "was registered" not in again

    def test_a_bank_of_a_dataset_that_is_not_here_cannot_be_told(self, ucf: Tree, tmp_path: Path):
        assert call("bank", "verify", "ucf101-small")[0] == 0
        shutil.rmtree(tmp_path / "config")
        assert "fvbench data add ucf101" in refused("bank", "verify", "ucf101-small")


class TestPackedBitstreams:
    """HMDB51 and others are XviD in AVI: a header promises more frames than come out."""

    def test_a_folder_of_them_registers_verifies_and_runs(self, tmp_path: Path):
        root = tmp_path / "data"
        for number, label in enumerate(("cartwheel", "climb stairs", "wave")):
            (root / label).mkdir(parents=True)
            for clip in range(3):
                packed_bitstream(root / label / f"{clip}.avi", 20 + clip, (96 + 16 * number, 96))
        assert call("data", "add", "mine", "--root", root)[0] == 0
        status, content = verified("mine")
        assert (status, content["troubles"]) == (0, [])
        words = ("run", "--data", root, "--methods", "protonet", "--episodes", "30", "--out")
        assert "9 of 9 videos are read by av" in succeeds(*words, tmp_path / "one")
        succeeds(*words, tmp_path / "other", "--decoder", "av")
        places = (tmp_path / name / "protonet" / "rows.parquet" for name in ("one", "other"))
        pd.testing.assert_frame_equal(*map(pd.read_parquet, places))
        printed = refused(*words, tmp_path / "one", "--decoder", "av")
        assert "decoder decord, not av" in printed.replace("\n", " ")


class TestMissing:
    def test_a_manifest_has_the_paths_of_the_others(self, ucf: Tree, tmp_path: Path):
        (ucf.root / "Punch" / "v_Punch_g01_c01.avi").unlink()
        said = succeeds("bank", "export", "ucf101-small", "--out", tmp_path / "bank.csv")
        assert "Punch/v_Punch_g01_c01: it was not found" in said.replace("\n", " ")
        table = pd.read_csv(tmp_path / "bank.csv")
        assert set(table["video"][table["path"].isna()]) == {"Punch/v_Punch_g01_c01"}

    def test_what_may_not_be_read_is_left_out_too(self, ucf: Tree, monkeypatch: pytest.MonkeyPatch):
        access = os.access
        locked = "v_Punch_g01_c01.avi"
        monkeypatch.setattr(
            "os.access", lambda path, how: locked not in str(path) and access(path, how)
        )
        (reason,) = bank.unusable(bank.open_bank("ucf101-small"), lambda *_: None).values()
        assert "forbid you to read it" in reason

    def test_a_forecast_counts_all_that_are_missing_not_those_of_its_sample(self, ucf: Tree):
        for path in ucf.root.glob("*/*.avi"):
            path.unlink()
        words = ("--bank", "ucf101-small", "--methods", "protonet", "--backbone", "motion")
        assert "48 of the 48 videos" in refused("run", *words, "--dry-run").replace("\n", " ")


class TestVerify:
    def test_all_is_well_but_for_copies(self, ucf: Tree):
        status, content = verified("ucf101")
        assert [one["kind"] for one in content["troubles"]] == ["copy"] * 87  # all links but one
        assert (status, content["usable"]) == (0, True)
        assert content["listed"] == {"train": 24, "val": 16, "test": 48}
        assert content["banks"] == [{"bank": "ucf101-small", "episodes": 60, "whole": 60}]

    @pytest.mark.parametrize("fast", [True, False])
    def test_what_is_missing_and_what_that_does_to_the_bank(self, ucf: Tree, fast: bool):
        (ucf.root / "Punch" / "v_Punch_g01_c01.avi").unlink()
        status, content = verified("ucf101", *(["--fast"] if fast else []))
        assert status == 1
        assert kinds(content) == {"v_Punch_g01_c01": "missing"}
        assert 0 < content["banks"][0]["whole"] < 60

    def test_every_kind_of_trouble_is_told_apart(self, ucf: Tree):
        def replaced(name: str) -> Path:
            path = ucf.root / "Punch" / f"v_Punch_{name}.avi"
            path.unlink()
            return path

        replaced("g01_c01").touch()
        replaced("g01_c02").write_bytes(b"<html>404</html>" * 20)
        make_video(replaced("g02_c01"), frames=5, codec="mpeg4")
        other = make_video(ucf.root.parent / "other.mp4", frames=17)
        shutil.copy(other, replaced("g02_c02"))
        ucf.add("Archery/v_Punch_g03_c01", ".mp4")
        status, content = verified("ucf101")
        assert status == 1
        assert kinds(content) == {
            "v_Punch_g01_c01": "empty",
            "v_Punch_g01_c02": "damaged",
            "v_Punch_g02_c01": "short",
            "v_Punch_g02_c02": "odd",
            "v_Punch_g03_c01": "several",
        }
        said = {one["name"]: one["words"] for one in content["troubles"]}
        assert "content is mov" in said["v_Punch_g02_c02"]
        assert said["v_Punch_g02_c01"] == "5 frames"

    def test_only_what_changed_is_opened_again(self, ucf: Tree, monkeypatch: pytest.MonkeyPatch):
        changed = ucf.root / "YoYo" / "v_YoYo_g01_c01.avi"
        changed.unlink()  # the others are links to one file, which changes with each of them
        make_video(changed, frames=17, codec="mpeg4")
        verified("ucf101")
        opened: list[Path] = []
        inspect = inspection.inspect
        monkeypatch.setattr(
            inspection, "inspect", lambda path: opened.append(path) or inspect(path)
        )
        verified("ucf101")
        assert not opened
        make_video(changed, frames=18, codec="mpeg4")
        verified("ucf101")
        assert opened == [changed]

    def test_a_failure_of_the_machine_is_not_kept(self, ucf: Tree, monkeypatch: pytest.MonkeyPatch):
        with monkeypatch.context() as patch:
            patch.setattr(
                "episodes.decoding.process.Process.ask", lambda *_: Answer(error="killed")
            )
            assert set(kinds(verified("ucf101")[1]).values()) == {"damaged"}
        assert "damaged" not in kinds(verified("ucf101")[1]).values()

    def test_frames_with_a_gap_and_a_damaged_frame(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("hmdb51")
        for label, video in pairs("hmdb51", "test")[:4]:
            (tree.root / label / f"{video}.avi").unlink()
            tree.add_frames(f"{label}/{video}", [f"{n:05}.jpg" for n in (1, 2, 4)])
        second, third, fourth = pairs("hmdb51", "test")[1:4]
        for (label, video), frame in ((second, "00001.jpg"), (third, "00004.jpg")):
            harmed = tree.root / label / video / frame
            harmed.unlink()
            harmed.write_bytes(b"no image")
        nowhere = tree.root / fourth[0] / fourth[1] / "00002.jpg"
        nowhere.unlink()
        nowhere.symlink_to("nowhere.jpg")
        call("data", "add", "hmdb51", "--root", tree.root)
        troubles = verified("hmdb51")[1]["troubles"]
        said = {(one["name"], one["kind"]): one["words"] for one in troubles}
        assert "number 2" in said[pairs("hmdb51", "test")[0][1], "odd"]
        assert "cannot be read as an image" in said[second[1], "damaged"]
        assert "00004.jpg: cannot be read as an image" in said[third[1], "damaged"]
        assert "00002.jpg: there is no such image file" in said[fourth[1], "damaged"]

    def test_the_table_for_people(self, ucf: Tree):
        shutil.rmtree(ucf.root / "Punch")
        status, printed = call("data", "verify", "ucf101", "--fast")
        assert status == 1
        assert "8 of 88 listed videos cannot be used" in printed
        assert "--allow-missing" in printed

    def test_a_class_that_looks_like_a_number_is_shown_as_it_is_called(self, tmp_path: Path):
        tree = Tree(tmp_path / "data")
        for clip in ("1e3/a", "1e3/b", "1e4/a", "1e4/b"):
            tree.add(clip, ".mp4")
        call("data", "add", "mine", "--root", tree.root)
        (tree.root / "1e3" / "a.mp4").unlink()
        _, printed = call("data", "verify", "mine", "--fast")
        assert " 1e3 " in printed

    def test_a_split_that_an_incomplete_folder_does_not_tell_is_no_success(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("hmdb51")
        label, video = pairs("hmdb51", "test")[0]
        (tree.root / label / f"{video}.avi").unlink()
        call("data", "add", "hmdb51", "--root", tree.root)
        status, printed = call("data", "verify", "hmdb51", "--fast")
        assert status == 1
        assert "listed videos are there (not opened), but not all of test" in printed

    def test_rendered_videos_need_no_check_and_an_unknown_dataset_has_none(self):
        assert call("data", "verify", "rendered", "--fast")[0] == 0
        assert call("data", "verify", "cats")[0] == 2


class TestRun:
    WORDS = ("run", "--bank", "ucf101-small", "--methods", "protonet")

    @pytest.mark.parametrize("empty", [False, True])
    def test_a_missing_video_refuses_the_bank_or_drops_episodes_and_that_is_said(
        self, empty: bool, ucf: Tree, tmp_path: Path
    ):
        gone = ucf.root / "Punch" / "v_Punch_g01_c01.avi"
        gone.unlink()
        if empty:
            gone.touch()
        assert "--allow-missing" in refused(*self.WORDS, "--out", tmp_path / "out")
        printed = succeeds(*self.WORDS, "--allow-missing", "--out", tmp_path / "out")
        rows = len(predictions(tmp_path / "out")["protonet"]) // 5
        identity = read_run(tmp_path / "out" / "protonet").identity
        assert identity.bank == f"ucf101-small ({rows} of 60 episodes)"
        assert identity.episodes == rows < 60
        assert "of 60 episodes)" in printed
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert summary["bank"] == identity.bank

    def test_nothing_missing_is_the_whole_bank(self, ucf: Tree, tmp_path: Path):
        assert call(*self.WORDS, "--allow-missing", "--out", tmp_path / "out")[0] == 0
        assert read_run(tmp_path / "out" / "protonet").identity.bank == "ucf101-small"

    def test_a_video_found_damaged_counts_as_missing(self, ucf: Tree, tmp_path: Path):
        bad = ucf.root / "Punch" / "v_Punch_g01_c01.avi"
        bad.unlink()
        bad.write_bytes(b"<html>404</html>" * 20)
        words = (*self.WORDS, "--allow-missing", "--out", tmp_path / "out")
        assert call(*words)[0] == 2
        verified("ucf101")
        assert call(*words)[0] == 0

    def test_frames_and_files_side_by_side(self, ucf: Tree, tmp_path: Path):
        clip = ucf.root / "Punch" / "v_Punch_g01_c01.avi"
        clip.unlink()
        clip.with_suffix("").mkdir()
        for number in range(20):
            shade = Image.new("RGB", (96, 96), (10 * number, 20, 90))
            shade.save(clip.with_suffix("") / f"img_{number:05}.jpg")
        assert call(*self.WORDS, "--out", tmp_path / "out")[0] == 0


class TestLeakage:
    def test_the_two_splits_of_something_something_never_share_a_model(self):
        with pytest.raises(UserError, match="568 of the 2,400"):
            check_apart("ssv2-all", "ssv2-part")
        with pytest.raises(UserError):
            check_apart("ssv2-part", "ssv2-all")
        check_apart("ssv2-part", "ssv2-part")
        check_apart("kinetics-100", "ssv2-part")

    def test_a_run_with_weights_of_the_other_split_is_refused(self, tmp_path: Path):
        entry = built_in_methods()["mastaf"]
        card = read_card(WEIGHTS_FOLDER / "heads" / "mastaf" / "seed-0" / WEIGHTS)
        assert card is not None
        seen = card.trained_on.model_copy(update={"dataset": "ssv2-all"})
        card = card.model_copy(update={"trained_on": seen})
        chosen = MethodWithWeights(entry, tmp_path / "weights.safetensors", "0" * 64, card)
        other = SimpleNamespace(recipe=SimpleNamespace(dataset="ssv2-part", name="x"))
        plan = Plan([other], [chosen], None, torch.device("cpu"), 1, 0, tmp_path / "out")
        with pytest.raises(UserError, match="weights trained on ssv2-all"):
            execute(plan, Reporter())
        assert not (tmp_path / "out").exists()

    def test_labels_that_pretraining_had_are_declared(self):
        assert "all 24 test" in contamination(("imagenet-1k", "kinetics-700"), "kinetics-100")
        assert "not known" in contamination(None, "ssv2-all")
        assert contamination(("kinetics-700",), "ssv2-all") == ""
        assert contamination(None, "rendered") == ""
