"""Published datasets as users have them on disk: registered, verified, evaluated."""

import re
import shutil
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType

import pytest

from episodes.banks.bank import Bank, frozen, unexplained, unusable, without
from episodes.banks.recipe import read_recipe, recipe_names
from episodes.banks.sampler import draw
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset, register_folder
from episodes.disk.facts import all_facts
from episodes.disk.lists import read_lists
from episodes.disk.registration import write_registration
from episodes.errors import UserError
from episodes.split import Split, SplitName, Video
from tests.layouts import (
    LISTS,
    SUFFIX,
    Tree,
    alias,
    as_split,
    known_lists,
    own_registrations,
    pairs,
    published,
    write_json,
    write_lists,
)
from tests.synthetic import NOTHING, recipe_with

NAMES = sorted(LISTS)
REAL_FACTS = {one.dataset: one for one in all_facts()}


@pytest.fixture(autouse=True)
def apart(tmp_path: Path) -> Iterator[None]:
    """Every test has registrations of its own, and knows the small lists."""
    with own_registrations(tmp_path / "config"), known_lists():
        yield


def found(name: str, split: SplitName) -> list[Path]:
    """Where the program finds the videos of a split."""
    source = dataset(name)
    files = source.files(split, source.split(split).videos, NOTHING)
    return [file.path for file in files]


class TestCommittedBanks:
    """The recipes, drawn from what is shipped: counts and hashes, no list."""

    @pytest.mark.parametrize(
        "name",
        [
            one
            for one in recipe_names()
            if read_recipe(one).dataset != "rendered"
            and ("group" not in one or read_recipe(one).dataset == "avletters")
        ],
    )
    def test_episodes_follow_from_the_hash_of_the_list_and_the_size_of_its_classes(self, name: str):
        recipe = read_recipe(name)
        known = REAL_FACTS[recipe.dataset].splits[recipe.split]
        of_a_speaker = 3 if recipe.dataset == "avletters" else 1
        videos = tuple(
            Video(label, f"{number // of_a_speaker:05}", f"{number:05}")
            for label, one in known.classes.items()
            for number in range(one.videos)
        )
        partners = published(recipe.dataset).partners
        stand_in = Split(recipe.dataset, recipe.split, videos, partners)
        stand_in.__dict__["sha256"] = known.sha256
        assert recipe.split_sha256 == known.sha256
        assert frozen(recipe, stand_in) == recipe

    def test_every_dataset_has_its_banks(self):
        names = set(recipe_names())
        for name in NAMES:
            apart = ("-group-disjoint",) * (name in {"ucf101", "hmdb51"})
            banks = product((1, 5), ("val", "test"), ("", "-one-class", *apart))
            assert {f"{name}-5w{shot}s-{split}{kind}" for shot, split, kind in banks} <= names

    def test_as_many_videos_are_known_as_are_published_and_no_class_is_in_two_splits(self):
        counts = {name: [one.videos for one in REAL_FACTS[name].splits.values()] for name in NAMES}
        assert counts == {
            "ucf101": [9154, 1421, 2745],
            "hmdb51": [4280, 1194, 1292],
            "ssv2-part": [6400, 1200, 2400],
            "ssv2-all": [67013, 1926, 2857],
            "kinetics-100": [6400, 1200, 2400],
        }
        for real in REAL_FACTS.values():
            labels = [label for split in real.splits.values() for label in split.classes]
            assert len(labels) == len(set(labels))
            for split in real.splits.values():
                assert sum(one.videos for one in split.classes.values()) == split.videos


class TestMembership:
    @pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
    def test_a_complete_folder_tells_the_lists_and_an_incomplete_one_does_not(
        self, name: str, tmp_path: Path
    ):
        tree = Tree(tmp_path / "data").fill(name)
        add_dataset(name, tree.root, None, trust=False)
        for split in LISTS[name]:
            assert dataset(name).split(split).sha256 == as_split(name, split).sha256
        label, video = pairs(name, "test")[0]
        (tree.root / label / f"{video}.avi").unlink()
        added = add_dataset(name, tree.root, None, trust=False)
        count = len(LISTS[name]["test"][label])
        assert f"{label} ({count - 1} of {count})" in added.unknown["test"]
        with pytest.raises(UserError, match="--lists FOLDER"):
            dataset(name).split("test")
        assert dataset(name).split("val").sha256 == as_split(name, "val").sha256

    def test_a_video_too_many_is_seen(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("ucf101")
        tree.add("Punch/v_Punch_g09_c01", ".avi")
        added = add_dataset("ucf101", tree.root, None, trust=False)
        assert "Punch (9 of 8)" in added.unknown["test"]

    def test_a_folder_completed_later_tells_them_then(self, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill("ucf101")
        moved = shutil.move(tree.root / "Punch", tmp_path / "Punch")
        add_dataset("ucf101", tree.root, None, trust=False)
        shutil.move(moved, tree.root / "Punch")
        assert dataset("ucf101").split("test").sha256 == as_split("ucf101", "test").sha256

    @pytest.mark.parametrize("name", ["ssv2-all", "ssv2-part", "kinetics-100"])
    def test_other_datasets_need_lists(self, name: str, tmp_path: Path):
        with pytest.raises(UserError, match="needs its lists"):
            add_dataset(name, Tree(tmp_path / "data").fill(name).root, None, trust=False)

    def test_groups_are_recordings(self):
        groups = {video.name: video.group for video in as_split("ucf101", "val").videos}
        assert groups["v_HandStandPushups_g03_c02"] == "g03"
        films = {video.name: video.group for video in as_split("hmdb51", "test").videos}
        assert films["Best_Of_-_it's_a_hit_kick_kick_f_cm_np1_le_med_1"] == (
            "Best_Of_-_it's_a_hit_kick"
        )


class TestLists:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        tree = Tree(tmp_path / "data")
        for name in NAMES:
            tree.add(pairs(name, "test")[0][1], SUFFIX[name])
        return tree.root

    @pytest.mark.parametrize(
        ("name", "line"),
        [
            ("ucf101", "{label}/{video}"),
            ("ucf101", "{label}/{video}.avi 17"),
            ("hmdb51", "{split}{index}//videos/{label}/{video}.avi"),
            ("ssv2-part", "{split}{index}/{video}"),
            ("ssv2-part", "{video} 38 {index}"),
            ("ssv2-all", "{alias}/{video}"),
            ("ssv2-all", "{video} 0 {index}"),
            ("kinetics-100", "{split}{index}//{split}_256/{label}/{video}.mp4"),
        ],
    )
    def test_every_format_gives_the_same_split(
        self, name: str, line: str, data: Path, tmp_path: Path
    ):
        add_dataset(name, data, write_lists(tmp_path / "lists", name, line), trust=False)
        for split in LISTS[name]:
            assert dataset(name).split(split).sha256 == as_split(name, split).sha256

    def test_a_mapping_from_video_to_class_over_all_splits(self, data: Path, tmp_path: Path):
        classes = [one for split in LISTS["ssv2-part"].values() for one in split.items()]
        content = {one: index for index, (_, videos) in enumerate(classes) for one in videos}
        lists = write_json(tmp_path / "classInd_cmn.json", content)
        add_dataset("ssv2-part", data, lists, trust=False)
        assert dataset("ssv2-part").split("test").sha256 == as_split("ssv2-part", "test").sha256

    def test_what_a_file_is_called_does_not_matter(self, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-part")
        (lists / "vallist03.txt").rename(lists / "trainlist05.txt")
        add_dataset("ssv2-part", data, lists, trust=False)
        assert dataset("ssv2-part").split("val").sha256 == as_split("ssv2-part", "val").sha256

    def test_the_lists_of_ucf101_itself_with_classes_spread_over_files(
        self, data: Path, tmp_path: Path
    ):
        lists = tmp_path / "lists"
        lists.mkdir()
        lines = [
            f"{label}/{video}.avi 1"
            for split in LISTS["ucf101"]
            for label, video in pairs("ucf101", split)
        ]
        (lists / "trainlist01.txt").write_text("\r\n".join(lines[::2]))
        (lists / "testlist01.txt").write_text("\r\n".join(lines[1::2]))
        (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n")
        add_dataset("ucf101", data, lists, trust=False)
        assert dataset("ucf101").split("test").sha256 == as_split("ucf101", "test").sha256

    def test_lists_with_other_content_are_refused_unless_they_are_trusted(
        self, data: Path, tmp_path: Path
    ):
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{alias}/{video}")
        with (lists / "trainlist03.txt").open("a") as file:
            file.write("train0/220847\n")
        with pytest.raises(UserError, match=r"has 6 videos there, 5 in the published list"):
            add_dataset("ssv2-all", data, lists, trust=False)
        assert published("ssv2-all").state().startswith("not here yet. Fetch Something-Something")
        add_dataset("ssv2-all", data, lists, trust=True)
        train = dataset("ssv2-all").split("train")
        assert len(train.videos) == 11
        assert "Bending something until it breaks" in train.classes
        assert train.sha256 != as_split("ssv2-all", "train").sha256
        assert dataset("ssv2-all").split("test").sha256 == as_split("ssv2-all", "test").sha256

    def test_trusted_lists_share_no_video(self, data: Path, tmp_path: Path):
        label, video = pairs("ssv2-all", "test")[0]
        lists = write_lists(tmp_path / "lists", "ssv2-all")
        (lists / "trainlist03.txt").write_text(f"{label}/{video}\n")
        both = rf"video {video!r} is in the splits \w+ and \w+, .* give the lists of all splits"
        with pytest.raises(UserError, match=both):
            add_dataset("ssv2-all", data, lists, trust=True)

    def test_a_list_of_as_many_videos_with_other_names_shows_one(self, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ucf101", "{label}/{video}.avi,0")
        with pytest.raises(UserError, match=r"as many as published, but other names, .*\.avi,0'"):
            add_dataset("ucf101", data, lists, trust=False)

    def test_lists_of_another_dataset_are_named(self, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{alias}/{video}")
        with pytest.raises(UserError, match="lists ssv2-all, not ssv2-part"):
            add_dataset("ssv2-part", data, lists, trust=False)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Archery", r"line 1: 'Archery' is in no known format"),
            ("A/one\nA/one", "lists A/one twice"),
            (
                "A/one 38 18",
                "line 1: 'A/one 38 18' is a folder of frames .*; a line is CLASS/VIDEO",
            ),
        ],
    )
    def test_lines_that_say_nothing(self, text: str, message: str, data: Path, tmp_path: Path):
        (tmp_path / "train.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            add_dataset("ucf101", data, tmp_path / "train.txt", trust=False)

    @pytest.mark.parametrize("line", ["{video}", "{video}.webm", "videos/{video}.webm"])
    @pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
    def test_classes_of_bare_ids_come_from_the_label_files(
        self, prefix: str, line: str, data: Path, tmp_path: Path
    ):
        lists = write_lists(tmp_path / "lists", "ssv2-all", line)
        self.write_labels(lists, "ssv2-all", prefix)
        add_dataset("ssv2-all", data, lists, trust=False)
        for split in LISTS["ssv2-all"]:
            assert dataset("ssv2-all").split(split).sha256 == as_split("ssv2-all", split).sha256

    def test_trusted_ids_are_of_the_classes_in_the_label_files(self, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{video}")
        self.write_labels(lists, "ssv2-all", "", {"220847": "Stacking number of something"})
        with (lists / "testlist03.txt").open("a") as file:
            file.write("220847\n")
        with pytest.raises(UserError, match="is not a published split"):
            add_dataset("ssv2-all", data, lists, trust=False)
        add_dataset("ssv2-all", data, lists, trust=True)
        assert (
            Video("Stacking number of something", "220847", "220847")
            in dataset("ssv2-all").split("test").videos
        )

    @pytest.mark.parametrize("line", ["7", "7.webm"])
    def test_an_id_without_a_label_is_refused(self, line: str, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-all", line)
        self.write_labels(lists, "ssv2-all", "")
        with pytest.raises(UserError, match=rf"line 1: '{line}' is in no known .* label files lie"):
            add_dataset("ssv2-all", data, lists, trust=False)

    def test_label_files_alone_are_no_lists_nor_is_an_empty_folder(
        self, data: Path, tmp_path: Path
    ):
        with pytest.raises(UserError, match="holds no lists"):
            add_dataset("ucf101", data, data, trust=False)
        lists = tmp_path / "lists"
        lists.mkdir()
        self.write_labels(lists, "ssv2-all", "")
        with pytest.raises(UserError, match=r"holds labels\.json, which says .* but no lists"):
            add_dataset("ssv2-all", data, lists, trust=False)

    def test_another_list_of_objects_is_no_label_file(self, data: Path, tmp_path: Path):
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{video}")
        write_json(lists / "train.json", [{"template": "Folding [something]"}])
        with pytest.raises(UserError, match=r"train\.json is not a label file"):
            add_dataset("ssv2-all", data, lists, trust=False)

    def test_a_list_whose_name_ends_like_that_of_a_label_file_is_a_list(self, tmp_path: Path):
        write_json(tmp_path / "labels.json", {"Folding something": "0"})
        write_json(tmp_path / "train_labels.JSON", {"one": 3, "two": 4})
        (tmp_path / "my-test-answers.csv").write_text("A/three\n")
        read = {one.path.name: dict(one.classes) for one in read_lists(tmp_path)}
        assert read == {
            "train_labels.JSON": {"3": {"one"}, "4": {"two"}},
            "my-test-answers.csv": {"A": {"three"}},
        }

    @pytest.mark.parametrize("name", ["test-answers.csv", "train.json"])
    def test_a_label_file_that_cannot_be_read_is_one_message(self, name: str, tmp_path: Path):
        (tmp_path / "train.txt").write_text("A/one\n")
        (tmp_path / name).write_bytes("[1;été\n".encode("latin-1"))
        with pytest.raises(UserError, match=rf"{name} cannot be read as a label file"):
            read_lists(tmp_path)
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=rf"{name} cannot be read as a list"):
            read_lists(tmp_path)

    def write_labels(
        self, folder: Path, name: str, prefix: str, more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """The label files as they come: training and validation by sentence, the test set apart."""
        of = {video: label for split in LISTS[name] for label, video in pairs(name, split)} | more
        entries = [
            {
                "id": video,
                "label": label.replace("something", "a cup"),
                "template": label.replace("something", "[something]"),
            }
            for video, label in of.items()
        ]
        write_json(folder / f"{prefix}train.json", entries[:9])
        write_json(folder / f"{prefix}validation.json", entries[9:-2])
        write_json(folder / f"{prefix}test.json", [{"id": one["id"]} for one in entries[-2:]])
        numbers = {label: str(number) for number, label in enumerate(dict.fromkeys(of.values()))}
        write_json(folder / f"{prefix}labels.json", numbers)
        answers = (f"{one['id']};{of[str(one['id'])]}\n" for one in entries[-2:])
        (folder / f"{prefix}test-answers.csv").write_text("".join(answers))


class TestLayouts:
    """Where videos lie: the layouts that users and published code have."""

    @pytest.mark.parametrize(
        ("name", "place"),
        [
            ("ucf101", "UCF-101/{label}/{video}"),
            ("ucf101", "videos/{video}"),
            ("hmdb51", "hmdb51_org/{label}/{video}"),
            ("hmdb51", "{label}/{label}/{video}"),
            ("ssv2-part", "20bn-something-something-v2/{video}"),
            ("ssv2-all", "{video}"),
            ("kinetics-100", "{label}/{video}"),
            ("kinetics-100", "{split}_256/{label}/{video}"),
        ],
    )
    def test_videos_are_found(self, name: str, place: str, tmp_path: Path):
        tree = Tree(tmp_path / "data").fill(name, place)
        add_dataset(name, tree.root, write_lists(tmp_path / "lists", name), trust=False)
        places = found(name, "test")
        assert [path.stem for path in places] == [one.name for one in as_split(name, "test").videos]

    @pytest.mark.parametrize(
        ("rename", "folder"),
        [
            (lambda video: video, "hurling_(sport)"),
            (lambda video: video[:11], "hurling sport"),
            (lambda video: f"{video[:11]}_{int(video[12:18])}_{int(video[19:])}", "Hurling"),
        ],
        ids=["underscores", "bare ids", "numbers not filled up"],
    )
    def test_kinetics_is_found_under_its_other_names(self, rename, folder: str, tmp_path: Path):
        tree = Tree(tmp_path / "data")
        for label, video in pairs("kinetics-100", "test"):
            tree.add(f"val/{folder if 'sport' in label else label}/{rename(video)}", ".mp4")
        lists = write_lists(tmp_path / "lists", "kinetics-100")
        add_dataset("kinetics-100", tree.root, lists, trust=False)
        assert len(found("kinetics-100", "test")) == 25

    def test_trusted_ids_without_windows_find_videos_with_any(self, tmp_path: Path):
        tree = Tree(tmp_path / "data")
        for label, video in pairs("kinetics-100", "test"):
            tree.add(f"{label}/{video}", ".mp4")
        lists = write_lists(tmp_path / "lists", "kinetics-100")
        for path in lists.iterdir():
            path.write_text(re.sub(r"_\d{6}_\d{6}", "", path.read_text()))
        add_dataset("kinetics-100", tree.root, lists, trust=True)
        assert len(found("kinetics-100", "test")) == 25

    def test_another_window_of_the_same_video_is_another_video(self, tmp_path: Path):
        tree = Tree(tmp_path / "data")
        for label, video in pairs("kinetics-100", "test"):
            tree.add(f"{label}/{video[:11]}_000333_000343", ".mp4")
        lists = write_lists(tmp_path / "lists", "kinetics-100")
        with pytest.raises(UserError, match="none of the videos"):
            add_dataset("kinetics-100", tree.root, lists, trust=False)

    @pytest.mark.parametrize("label", ["{label}", "{alias}"])
    @pytest.mark.parametrize("frame", ["{:08}.jpg", "image_{:05}.jpg", "img_{}.jpg"])
    def test_folders_of_frames(self, label: str, frame: str, tmp_path: Path):
        tree = Tree(tmp_path / "data")
        for name, video in pairs("ssv2-all", "test"):
            place = label.format(label=name, alias=alias("test", name))
            frames = [frame.format(n) for n in range(1, 12)]
            tree.add_frames(f"SSV2-OTAM/video_frame/{place}/{video}", frames)
        lists = write_lists(tmp_path / "lists", "ssv2-all", "{alias}/{video}")
        add_dataset("ssv2-all", tree.root, lists, trust=False)
        assert all(path.is_dir() for path in found("ssv2-all", "test"))

    def test_a_file_is_preferred_to_frames_and_the_right_class_to_another(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        tree = Tree(tmp_path / "data").fill("ucf101")
        label, video = pairs("ucf101", "test")[0]
        tree.add_frames(f"A frames/{label}/{video}", ["1.jpg"])
        tree.add(f"Archery/{video}", ".avi")
        lists = write_lists(tmp_path / "lists", "ucf101")
        add_dataset("ucf101", tree.root, lists, trust=False)
        assert found("ucf101", "test")[0] == tree.root / label / f"{video}.avi"
        found("ucf101", "test")
        said = capsys.readouterr().err
        assert said.count(f"more than once, such as {tree.root / label / video}.avi, which is") == 1

    def test_a_stray_picture_hides_no_videos_and_a_link_that_leads_round_is_no_trap(
        self, tmp_path: Path
    ):
        tree = Tree(tmp_path / "data").fill("hmdb51")
        (tree.root / "again").symlink_to(tree.root)
        label = pairs("hmdb51", "test")[0][0]
        for place in (tree.root, tree.root / label):
            (place / "cover.jpg").touch()
        add_dataset("hmdb51", tree.root, None, trust=False)
        assert len(found("hmdb51", "test")) == len(pairs("hmdb51", "test"))


class TestMissing:
    @pytest.fixture
    def bank(self, tmp_path: Path) -> Bank:
        """A bank over Kinetics of which two test videos are gone."""
        tree = Tree(tmp_path / "data").fill("kinetics-100")
        lists = write_lists(tmp_path / "lists", "kinetics-100")
        add_dataset("kinetics-100", tree.root, lists, trust=False)
        source = dataset("kinetics-100")
        split = source.split("test")
        recipe = recipe_with(name="k", dataset="kinetics-100", way=3, episodes=500)
        for video in (split.videos[0], split.videos[7]):
            (tree.root / video.label / f"{video.name}.mp4").unlink()
        return Bank(frozen(recipe, split), split, draw(recipe, split, 500), source)

    def test_or_whole_episodes_are_left_out_and_it_is_another_bank(self, bank: Bank):
        left = without(bank, unusable(bank, NOTHING))
        assert not {0, 7} & set(left.used_videos())
        both = [*bank.episodes.support.reshape(500, -1).T, *bank.episodes.query.T]
        touched = sum((part == 0) | (part == 7) for part in both) > 0
        assert left.left_out == touched.sum()
        assert len(left.episodes) == 500 - left.left_out
        assert (left.episodes.support == bank.episodes.support[~touched]).all()
        assert left.sha256 != bank.sha256
        assert left.title == f"k ({len(left.episodes)} of 500 episodes)"
        assert [unexplained(one) for one in (bank, left)] == [0, 0]
        assert unexplained(bank.only(touched.nonzero()[0])) > 0
        assert bank.title == "k"

    def test_nothing_left_is_an_error(self, bank: Bank, tmp_path: Path):
        for label in ("blasting sand", "unboxing", "side kick"):
            shutil.rmtree(tmp_path / "data" / label)
        with pytest.raises(UserError, match="every episode"):
            without(bank, unusable(bank, NOTHING))


class TestOwnSplits:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        tree = Tree(tmp_path / "mine")
        for label in range(20):
            for video in range(3):
                tree.add(f"class {label}/clip.{video}", ".mp4")
        return tree.root

    def test_classes_are_shared_out_by_their_names(self, root: Path, tmp_path: Path):
        add_dataset("mine", root, None, trust=False)
        splits = [dataset("mine").split(split) for split in ("train", "val", "test")]
        assert [len(split.classes) for split in splits] == [13, 2, 5]
        assert len({label for split in splits for label in split.classes}) == 20
        add_dataset("mine", root.rename(tmp_path / "elsewhere"), None, trust=False)
        assert dataset("mine").split("test").sha256 == splits[2].sha256

    def test_or_lists_say_it(self, root: Path, tmp_path: Path):
        lists = tmp_path / "lists"
        lists.mkdir()
        (lists / "train.txt").write_text("class 3/clip.0\nclass 4/clip.1.mp4\n")
        (lists / "test.txt").write_text("class 5/clip.0\nclass 6/clip.1\n")
        add_dataset("mine", root, lists, trust=False)
        names = [video.name for video in dataset("mine").split("train").videos]
        assert names == ["clip.0.mp4", "clip.1.mp4"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("class 3/clip.1\nclass 6/clip.1\n", "'class 3' is in the splits"),
            ("class 4/clip.9\n", r"class 4/clip\.9"),
        ],
    )
    def test_lists_that_do_not_fit(self, text: str, message: str, root: Path, tmp_path: Path):
        lists = tmp_path / "lists"
        lists.mkdir()
        (lists / "train.txt").write_text("class 3/clip.0\n")
        (lists / "test.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            add_dataset("mine", root, lists, trust=False)

    @pytest.mark.parametrize("name", ["rendered", "a/b", "../x", ""])
    def test_names_that_cannot_be(self, name: str, root: Path):
        with pytest.raises(UserError, match="cannot be called"):
            add_dataset(name, root, None, trust=False)

    def test_a_slip_is_no_new_dataset(self, root: Path):
        with pytest.raises(UserError, match="nearly 'ucf101'"):
            add_dataset("ucf-101", root, None, trust=False)

    @pytest.mark.parametrize(
        ("alias", "name"), [("SSv2-Small", "ssv2-part"), ("k100", "kinetics-100")]
    )
    def test_another_name_of_a_published_dataset_is_no_new_one(
        self, alias: str, name: str, root: Path
    ):
        with pytest.raises(UserError, match=f"is called '{name}' here"):
            add_dataset(alias, root, None, trust=False)

    def test_one_that_an_earlier_version_registered_under_such_a_name_is_kept(self, root: Path):
        write_registration(register_folder("K100", root, None))
        add_dataset("K100", root, None, trust=False)

    @pytest.mark.parametrize("name", ["Mine", "RENDERED"])
    def test_names_that_some_disks_do_not_tell_apart_are_refused(self, name: str, root: Path):
        add_dataset("mine", root, None, trust=False)
        with pytest.raises(UserError, match=f"is nearly '{name.lower()}'"):
            add_dataset(name, root, None, trust=False)


def test_a_damaged_registration_hides_no_other_dataset_and_can_be_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tree = Tree(tmp_path / "data")
    for clip in ("one/a", "one/b", "two/a", "two/b"):
        tree.add(clip, ".mp4")
    damaged = tmp_path / "config" / "datasets" / "mine.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"root": ')
    damaged.with_name(".of-a-killed-writer.unfinished.json").write_text('{"root": ')
    assert dataset("rendered").name == "rendered"
    assert capsys.readouterr().err.count("left out: ") == 1
    with pytest.raises(UserError, match=r"mine\.json is damaged .* register the dataset again"):
        dataset("mine")
    add_dataset("mine", tree.root, None, trust=False)
    assert dataset("mine").name == "mine"
