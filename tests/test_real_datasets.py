"""EgoGestAR and AVLetters on disk, and the command that writes what is known of a dataset."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from bench.runs.checking import rebuilt
from bench.runs.compact import compact
from bench.runs.directory import read_run, write_run
from episodes.banks import facts_of
from episodes.banks.bank import frozen, open_bank, unusable, without
from episodes.banks.recipe import FOLDER as RECIPES
from episodes.banks.recipe import read_recipe, recipe_names
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset
from episodes.decoding.matlab_frames import convert
from episodes.disk.facts import FOLDER, all_facts, facts, names_sha256
from episodes.errors import UserError
from episodes.split import Split, Video
from tests.layouts import LISTS, Tree, known_lists, own_registrations, published, write_lists
from tests.synthetic import NOTHING, answered

pytestmark = pytest.mark.usefixtures("own_config")
GESTURES = tuple(facts("egogestar").splits["test"].classes)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SPEAKERS = ("Ann", "Bob", "Cleo", "Dora", "Emil", "Fay")
"""Not those of AVLetters, whose names are not ours to list."""


def gestures(root: Path, place: str = "testvideo/{name}") -> Tree:
    """All 220 clips of EgoGestAR, and two of its unclassified ones."""
    tree = Tree(root)
    for label in (*GESTURES, "unclassified"):
        for number in range(1, 23 if label != "unclassified" else 3):
            name = f"testvideo_{label}_{number}"
            tree.add(place.format(label=label, name=name), ".mp4")
    return tree


def letters(root: Path, place: str) -> Tree:
    """Every letter said three times by six speakers."""
    tree = Tree(root)
    for letter in LETTERS:
        for who in SPEAKERS:
            for take in (1, 2, 3):
                tree.add(place.format(letter=letter, who=who, take=take), ".mp4")
    return tree


class TestEgoGestAR:
    @pytest.mark.parametrize("place", ["testvideo/{name}", "{label}/{name}"])
    def test_a_copy_is_known_by_its_names_and_its_banks_verify(self, place: str, tmp_path: Path):
        added = add_dataset("egogestar", gestures(tmp_path / "data", place).root, None, trust=False)
        assert (dict(added.there), added.unknown) == ({"test": 220}, {})
        for name in recipe_names():
            if read_recipe(name).dataset == "egogestar":
                assert len(open_bank(name).episodes) == 10_000

    def test_a_copy_with_gaps_runs_without_them(self, tmp_path: Path):
        tree = gestures(tmp_path / "data", "{label}/{name}")
        gone = ("square/testvideo_square_18", "star/testvideo_star_17", "star/testvideo_star_18")
        for place in gone:
            (tree.root / f"{place}.mp4").unlink()
        added = add_dataset("egogestar", tree.root, None, trust=False)
        assert (dict(added.there), added.unknown) == ({"test": 217}, {})
        bank = open_bank("egogestar-5w1s-test")
        with pytest.raises(UserError, match=r"3 of the 220 videos.*--allow-missing"):
            bank.source.files("test", bank.split.videos, NOTHING)
        left = without(bank, unusable(bank, NOTHING))
        assert left.title == "egogestar-5w1s-test (8,701 of 10,000 episodes)"
        names = {bank.split.videos[index].name for index in left.used_videos()}
        assert len(names) == 217
        assert not names & {place.partition("/")[2] for place in gone}

    def test_partners_are_time_reversals_and_there_is_one_split(self, tmp_path: Path):
        assert "git clone https://github.com/varunj/EgoGestAR" in dataset("egogestar").state()
        add_dataset("egogestar", gestures(tmp_path / "data").root, None, trust=False)
        bank = open_bank("egogestar-5w1s-test-partners", episodes=300)
        labels = np.array([video.label for video in bank.split.videos])
        for classes in labels[bank.episodes.support[:, :, 0]]:
            assert {"left", "right", "up", "down"} < set(classes)
            assert len(set(classes)) == 5
        with pytest.raises(UserError, match="egogestar has no split 'train'; it has test"):
            dataset("egogestar").split("train")


class TestAVLetters:
    @pytest.fixture
    def small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
        """A copy with six speakers, whose facts the program is made to know."""
        tree = letters(tmp_path / "data", "{letter}/{who}/{who}_{take}")
        folders = (tmp_path / "facts", tmp_path / "recipes")
        facts_of.write("avletters", tree.root, (14, 4, 8), None, (1, 5), *folders)
        for module, folder in zip(("disk.facts", "banks.recipe"), folders, strict=True):
            monkeypatch.setattr(f"episodes.{module}.FOLDER", folder)
        facts.cache_clear()
        return tree

    @pytest.fixture(autouse=True)
    def forget(self) -> Iterator[None]:
        """Facts are read once in a process."""
        yield
        facts.cache_clear()

    def test_classes_are_shared_out_by_the_hashes_of_their_names(self):
        shared = facts_of.shared_out(dict.fromkeys(LETTERS, frozenset()), (14, 4, 8))
        known = facts("avletters").splits
        assert {name: set(split) for name, split in shared.items()} == {
            name: set(split.classes) for name, split in known.items()
        }

    @pytest.mark.parametrize("place", ["Lips/{letter}{take}_{who}-lips", "{letter}{take}_{who}"])
    def test_the_names_of_the_original_files_are_known(
        self, place: str, small: Tree, tmp_path: Path
    ):
        add_dataset("avletters", small.root, None, trust=False)
        hashes = {name: dataset("avletters").split(name).sha256 for name in ("train", "test")}
        add_dataset("avletters", letters(tmp_path / "other", place).root, None, trust=False)
        for name, sha256 in hashes.items():
            split = dataset("avletters").split(name)
            assert split.sha256 == sha256
            assert len(dataset("avletters").files(name, split.videos, NOTHING)) == len(split.videos)

    def test_a_copy_with_gaps_is_known_as_long_as_every_speaker_is_there(self, small: Tree):
        (small.root / "B" / "Ann" / "Ann_2.mp4").unlink()
        added = add_dataset("avletters", small.root, None, trust=False)
        assert added.there == {"train": 252, "val": 72, "test": 143}
        assert open_bank("avletters-5w1s-test").sha256
        for path in small.root.glob("*/Cleo/*"):
            path.unlink()
        with pytest.raises(UserError, match=r"nothing was registered: .*train: .*A \(15 of 18\)"):
            add_dataset("avletters", small.root, None, trust=False)

    def test_every_bank_verifies_and_keeps_speakers_apart_where_it_says_so(self, small: Tree):
        add_dataset("avletters", small.root, None, trust=False)
        names = set(recipe_names())
        assert "avletters-4w1s-val-group-disjoint" in names
        assert not any("train" in name for name in names)
        for name in names - {one for one in names if "5s" in one}:
            assert len(open_bank(name).episodes) == 10_000
        bank = open_bank("avletters-5w1s-test-group-disjoint", 500)
        assert bank.recipe.protocol == "group-disjoint"
        assert {video.group for video in bank.split.videos} == set(SPEAKERS)

    def test_matlab_arrays_become_frames(self, small: Tree, tmp_path: Path):
        drawn = np.random.default_rng(0).integers(0, 256, (3, 6, 8)).astype(np.float64)
        columns = drawn.transpose(1, 2, 0).reshape(48, 3, order="F")
        source = tmp_path / "Lips"
        source.mkdir()
        savemat(source / "B2_Ann-lips.mat", {"vid": columns, "siz": np.array([[6.0, 8.0, 3.0]])})
        (source / "._B2_Ann-lips.mat").write_bytes(b"as macOS leaves it on other disks")
        assert convert(source, tmp_path / "frames") == 1
        frames = sorted((tmp_path / "frames" / "B2_Ann-lips").iterdir())
        assert [frame.name for frame in frames] == ["001.png", "002.png", "003.png"]
        assert all(
            (np.asarray(Image.open(frame)) == image).all()
            for frame, image in zip(frames, drawn, strict=True)
        )
        (small.root / "B" / "Ann" / "Ann_2.mp4").unlink()
        (tmp_path / "frames" / "B2_Ann-lips").rename(small.root / "B2_Ann-lips")
        add_dataset("avletters", small.root, None, trust=False)
        video = Video("B", "Ann", "B2_Ann")
        (file,) = dataset("avletters").files("test", (video,), NOTHING)
        assert file.path == small.root / "B2_Ann-lips"

    def test_other_matlab_files_are_one_message(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"holds no \.mat file"):
            convert(tmp_path, tmp_path / "frames")
        savemat(tmp_path / "A1_Ann-lips.mat", {"sound": np.zeros(3)})
        with pytest.raises(UserError, match=r"A1_Ann-lips\.mat holds no video.*'vid'"):
            convert(tmp_path, tmp_path / "frames")
        (tmp_path / "A1_Ann-lips.mat").write_bytes(b"")
        with pytest.raises(UserError, match=r"A1_Ann-lips\.mat holds no video"):
            convert(tmp_path, tmp_path / "frames")


class TestRowsWithoutVideos:
    """Figures of committed rows follow from counts and hashes, for readers without the videos."""

    def test_the_outline_of_a_bank_shows_the_same_classes(self, tmp_path: Path):
        names = [one for one in recipe_names() if read_recipe(one).dataset == "egogestar"]
        outlines = [open_bank(name, without_list=True) for name in names]
        add_dataset("egogestar", gestures(tmp_path / "data").root, None, trust=False)
        for name, outlined in zip(names, outlines, strict=True):
            bank = open_bank(name, without_list=True)
            assert "testvideo_up_1" in {video.name for video in bank.split.videos}
            assert "testvideo_up_1" not in {video.name for video in outlined.split.videos}
            assert outlined.sha256 == bank.sha256
            for part in ("support", "query", "labels"):
                assert (getattr(outlined.episodes, part) == getattr(bank.episodes, part)).all()

    def test_recordings_are_outlined_too(self):
        bank = open_bank("avletters-5w1s-test-group-disjoint", 400, without_list=True)
        recordings = bank.split.group_bounds[0]
        assert len(set(recordings)) == 80
        labels = bank.episodes.labels.astype(int)
        support = np.take_along_axis(bank.episodes.support[:, :, 0], labels, axis=1)
        assert (recordings[support] != recordings[bank.episodes.query]).all()

    def test_not_where_recordings_are_not_known(self):
        with pytest.raises(UserError, match="recordings of ucf101/test are not known"):
            open_bank("ucf101-5w1s-test", without_list=True)

    def test_classes_of_a_bank_with_gaps_are_found_again(self, tmp_path: Path):
        tree = gestures(tmp_path / "data")
        add_dataset("egogestar", tree.root, None, trust=False)
        (tree.root / "testvideo" / "testvideo_star_17.mp4").unlink()
        bank = open_bank("egogestar-5w1s-test", 400)
        left = without(bank, unusable(bank, NOTHING))
        assert left.left_out > 10
        run = answered("otam", 0.5, bank=left)
        write_run(tmp_path / "runs" / "otam", run)
        with own_registrations(tmp_path / "nothing"):
            compact(tmp_path / "runs", tmp_path / "compact")
            read = read_run(tmp_path / "compact" / "otam")
            assert read.rows["margin"].isna().all()
            assert read.rows.drop(columns="margin").equals(run.rows.drop(columns="margin"))
            found, problem = rebuilt(read)
        assert found is not None, problem
        assert (found.episodes.support == left.episodes.support).all()
        assert found.sha256 == left.sha256


class TestFactsOf:
    def test_committed_facts_are_as_the_command_writes_them(self):
        for one in all_facts():
            there = (FOLDER / f"{one.dataset}.toml").read_text(encoding="utf-8")
            assert there == facts_of.text(one), one.dataset
        for name, count in (("egogestar", 6), ("avletters", 12)):
            assert len(list(RECIPES.glob(f"{name}-*.toml"))) == count

    def test_a_folder_and_lists_give_what_the_program_knows(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("hmdb51")
        with known_lists():
            lists = write_lists(tmp_path / "lists", "hmdb51")
            written = facts_of.write("hmdb51", tree.root, None, lists, (1, 5), tmp_path, tmp_path)
            known = published("hmdb51").facts
            assert (tmp_path / "hmdb51.toml").read_text() == facts_of.text(known)
        names = {path.stem for path in written} - {"hmdb51"}
        assert {name for name in names if "test" in name} == {
            f"hmdb51-5w{shot}s-test{protocol}"
            for shot in (1, 5)
            for protocol in ("", "-one-class", "-group-disjoint")
        }
        for path in written[1:]:
            recipe = read_recipe(str(path))
            assert recipe.split_sha256 == known.splits[recipe.split].sha256
            assert frozen(recipe, self.split(recipe.split)) == recipe

    def split(self, name: str) -> Split:
        classes = {label: frozenset(videos) for label, videos in LISTS["hmdb51"][name].items()}  # type: ignore[index]
        return facts_of.split_of(published("hmdb51"), name, classes)  # type: ignore[arg-type]

    def test_what_it_writes_is_hashes_only(self, tmp_path: Path):
        tree = letters(tmp_path / "data", "{letter}/{who}/{who}_{take}")
        written = facts_of.write(
            "avletters", tree.root, (14, 4, 8), None, (1, 5), tmp_path, tmp_path
        )
        text = "".join(path.read_text() for path in written)
        assert names_sha256(f"B{n}_{who}" for n in (1, 2, 3) for who in SPEAKERS) in text
        assert not any(who in text for who in SPEAKERS)

    def test_a_class_that_is_too_small_is_one_message_and_nothing_is_written(self, tmp_path: Path):
        root = Tree(tmp_path / "data").fill("ucf101").root
        lists = write_lists(tmp_path / "lists", "ucf101")
        with pytest.raises(UserError, match=r"class 'ApplyLipstick', .* lower shot"):
            facts_of.write("ucf101", root, None, lists, (1, 5), tmp_path, tmp_path)
        assert not list(tmp_path.glob("*.toml"))
        assert facts_of.write("ucf101", root, None, lists, (1,), tmp_path, tmp_path)

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            (None, "either --classes or --lists"),
            ((20, 4, 8), "name three counts, .* 26 together: A, B"),
        ],
    )
    def test_what_does_not_fit(self, classes, message: str, tmp_path: Path):
        root = letters(tmp_path / "data", "{letter}{take}_{who}").root
        with pytest.raises(UserError, match=message):
            facts_of.write("avletters", root, classes, None, (1, 5), tmp_path, tmp_path)
        assert not list(tmp_path.glob("*.toml"))
