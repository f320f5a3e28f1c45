"""``fvbench run --data FOLDER``: anybody's own videos, whatever their codecs."""

import json
import os
import shutil
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import evaluate, load_bank, load_method
from bench.runs.directory import read_run
from episodes.banks.bank import Bank, frozen, rebuild
from episodes.banks.leakage import check_unseen
from episodes.banks.own_videos import bank_of_own_recipe, bank_over_folder, own_recipe
from episodes.banks.sampler import draw
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset, register_folder
from episodes.datasets.class_names import class_names
from episodes.datasets.folder import Folder
from episodes.decoding.frames import read_frames
from episodes.decoding.media import frames_of, videos_below, why_not_opened
from episodes.errors import UserError
from episodes.split import SplitName
from tests.command import call, predictions, refused, same, succeeds
from tests.conftest import make_video, videos_of
from tests.synthetic import NOTHING, recipe_with

CLASSES = ("ride bike", "été", "jump (high)", "sit&stand", "wave", "-turn", "kick", "push")
CLIPS = {
    "one.mp4": "libx264",
    "two.webm": "libvpx-vp9",
    "three.avi": "mpeg4",
    "four.MKV": "ffv1",
    "five.mov": "libx264",
    "six.mpg": "mpeg2video",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 classes x 6 clips of mixed codecs, no two clips alike, and things that are no videos."""
    root = tmp_path_factory.mktemp("own") / "my videos"
    for number, label in enumerate(CLASSES):
        (root / label).mkdir(parents=True)
        for place, (name, codec) in enumerate(CLIPS.items()):
            size = (96 + 16 * number, 96 + 8 * place)
            rate = 25 if codec == "mpeg2video" else 10
            make_video(root / label / name, 8 + place, size, codec, rate)
        (root / label / ".DS_Store").write_bytes(b"left over")
        (root / label / "notes.txt").write_text("not a video")
    return root


def copied(own: Path, root: Path, classes: int) -> Path:
    for label in CLASSES[:classes]:
        shutil.copytree(own / label, root / label)
    return root


def test_a_folder_is_evaluated_and_elsewhere_gives_the_same_rows(own: Path, tmp_path: Path):
    words = ("--backbone", "motion", "--methods", "protonet,otam", "--episodes", "40", "--out")
    printed = succeeds("run", "--data", own, *words, tmp_path / "one")
    assert "my-videos-5w1s: episodes show 8 classes and 48 videos.\n" in printed
    identity = read_run(tmp_path / "one" / "protonet").identity
    assert (identity.dataset, identity.way, identity.shot) == ("my-videos", 5, 1)
    assert len(predictions(tmp_path / "one")["protonet"]) == 200

    moved = shutil.copytree(own, tmp_path / "my videos")
    assert call("run", "--data", moved, *words, tmp_path / "two")[0] == 0
    assert same(predictions(tmp_path / "one"), predictions(tmp_path / "two"))
    make_video(moved / CLASSES[0] / "one.mp4", 31)
    said = refused("run", "--data", moved, *words, tmp_path / "one")
    assert f"one/protonet holds a run on the videos in {own}, and these are others" in said


def test_every_class_and_video_is_in_the_bank_and_fewer_classes_make_fewer_ways(
    own: Path, tmp_path: Path
):
    bank = bank_over_folder(own)
    assert set(bank.split.classes) == set(CLASSES)
    assert len(bank.split.videos) == len(bank.used_videos()) == 48
    assert len(bank.episodes) == 10_000
    copied(own, tmp_path, 3)
    assert bank_over_folder(tmp_path, 10).recipe.way == 3


@pytest.mark.parametrize("in_place", [False, True])
def test_a_video_that_was_replaced_or_written_over_under_its_old_time_is_hashed_anew(
    in_place: bool, own: Path, tmp_path: Path
):
    copied(own, tmp_path, 2)
    before, path = hashes(tmp_path), tmp_path / CLASSES[0] / "one.mp4"
    if in_place:
        written = path.stat().st_mtime_ns
        with path.open("rb+") as file:
            file.seek(100)
            file.write(b"other")
        os.utime(path, ns=(written, written))
    else:
        make_video(path, 31)
    after = hashes(tmp_path)
    assert [name for name in before if before[name] != after[name]] == ["one.mp4"]


def hashes(root: Path) -> dict[str, str]:
    folder = Folder("some", root)
    videos = [video for video in folder.split("test").videos if video.label == CLASSES[0]]
    return {file.video.name: file.sha256 for file in folder.files("test", videos, NOTHING)}


class TestFolderOfFrames:
    """Crops that follow something, and pictures that programs leave."""

    def test_such_folders_are_videos_whose_frames_get_the_size_of_the_first(self, tmp_path: Path):
        for shade, label in enumerate(("dark", "bright")):
            for clip in range(3):
                folder = tmp_path / "data" / label / f"clip{clip}"
                folder.mkdir(parents=True)
                for number in range(1, 13):  # 2 comes before 10
                    size = (31 + number, 90 - number) if (shade, clip) == (0, 1) else (80, 60)
                    picture = Image.new("L", size, 20 + 180 * shade + number + clip)
                    picture.save(folder / f"img_{number}.jpg")
        words = ("run", "--data", tmp_path / "data", "--methods", "protonet", "--episodes", "20")
        printed = succeeds(*words, "--out", tmp_path / "out")
        assert "1 of 6 folders of frames differ in size" in printed.replace("\n", " ")
        assert "1 of 6" in call(*words, "--out", tmp_path / "again")[1], "of stored features too"
        rows = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
        assert rows[0]["accuracy"] == 1.0

    @pytest.mark.parametrize("other", ["flow_x_{:05}.jpg", "img_{:05}.png"])
    def test_pictures_of_another_kind_are_not_taken_for_frames(self, other: str, tmp_path: Path):
        for number in range(3):
            (tmp_path / f"img_{number:05}.jpg").touch()
        (tmp_path / "cover.jpg").touch()
        (tmp_path / "img_00003_last.jpg").touch()
        assert len(frames_of(tmp_path)) == 5
        for number in range(3):
            (tmp_path / other.format(number)).touch()
        with pytest.raises(UserError, match=r"holds .* of the same numbers"):
            frames_of(tmp_path)

    def test_grey_of_16_bits_keeps_its_upper_8(self, tmp_path: Path):
        levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
        Image.fromarray(levels).save(tmp_path / "0.png")
        (frame,), _ = read_frames([tmp_path / "0.png"], 1, "linspace", list)
        assert np.array_equal(frame, np.repeat((levels >> 8)[..., None], 3, axis=2))

    def test_no_other_program_is_asked_to_read_a_picture(self, tmp_path: Path):
        picture = tmp_path / "0.jpg"
        for kind in ("EPS", "GIF", "TIFF", "BMP"):
            Image.new("RGB", (40, 30)).save(picture, kind)
            with pytest.raises(UserError, match=r"0\.jpg: cannot be read as an image"):
                read_frames([picture], 1, "linspace", list)

    @pytest.mark.parametrize("size", [12, 20], ids=["warned of", "refused by Pillow"])
    def test_a_picture_that_unpacks_to_a_bomb_is_named(
        self, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        Image.new("L", (size, size)).save(tmp_path / "0.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(UserError, match=r"0\.png: this image unpacks to more pixels"):
            read_frames([tmp_path / "0.png"], 1, "linspace", list)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of two recordings with two clips each, and one clip alone."""
    root, shade = tmp_path_factory.mktemp("recordings"), 8
    for label in ("open", "close", "wave"):
        for recording in ("kitchen", "été 2"):
            (root / label / recording).mkdir(parents=True)
            for clip in ("a.mp4", "b.mp4"):
                make_video(root / label / recording / clip, shade)
                shade += 1
    make_video(root / "wave" / "alone.mp4", shade)
    return root


class TestNames:
    """Names as other systems write them: macOS decomposes é into e and an accent."""

    @pytest.fixture
    def decomposed(self, recordings: Path, tmp_path: Path) -> Path:
        """The recordings, with a class of an accent, under names as macOS writes them."""
        root = shutil.copytree(recordings, tmp_path / "data")
        (root / "close").rename(root / "fermé")
        for path in sorted(root.rglob("*é*"), key=lambda path: -len(path.parts)):
            path.rename(path.with_name(decompose(path.name)))
        return root

    def test_both_forms_of_a_name_make_one_bank_whose_videos_are_read(
        self, decomposed: Path, tmp_path: Path
    ):
        other = shutil.copytree(decomposed, tmp_path / "other" / "data")
        for path in sorted(other.rglob("*\u0301*"), key=lambda path: -len(path.parts)):
            path.rename(path.with_name(unicodedata.normalize("NFC", path.name)))
        one, two = (bank_over_folder(root, 20) for root in (decomposed, other))
        assert one.sha256 == two.sha256
        assert "fermé" in one.split.classes
        for bank in (one, two):
            videos = bank.split.videos
            files = bank.source.files("test", videos, NOTHING)
            assert all(file.path.is_file() for file in files)
            assert bank.source.unusable(videos, NOTHING) == {}
        (tmp_path / "other" / "data" / "names.csv").write_text("class,name\nferme\u0301,closed\n")
        assert class_names("data", ["fermé"], other) == {"fermé": "closed"}

    @pytest.mark.usefixtures("own_config")
    def test_lists_and_registrations_may_have_either_form(self, decomposed: Path, tmp_path: Path):
        lines = ("fermé/kitchen/a\n", "ferme\u0301/e\u0301te\u0301 2/a\n", "open/kitchen/a.mp4\n")
        (tmp_path / "test.txt").write_text("".join(lines))
        added = add_dataset("mine", decomposed, tmp_path / "test.txt", trust=False)
        assert added.there == {"test": 3}
        assert call("data", "verify", "mine")[0] == 0
        written = dataset("mine").split("test")
        raw = {"test": tuple((one.label, one.name) for one in written.videos)}
        old = {"test": tuple(tuple(map(decompose, pair)) for pair in raw["test"])}
        splits = [Folder("mine", decomposed, lists).split("test").sha256 for lists in (raw, old)]
        assert splits == [written.sha256] * 2

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("tab\there.mp4", "holds a tab or a line break"),
            ("line\u2028here.mp4", "holds a tab or a line break"),
            ("fermé", "are two forms of one name"),
        ],
    )
    def test_names_that_no_list_can_hold_or_that_are_there_twice_are_refused(
        self, name: str, message: str, decomposed: Path
    ):
        shutil.copytree(decomposed / "open" / "kitchen", decomposed / name / "kitchen")
        with pytest.raises(UserError, match=message):
            bank_over_folder(decomposed)

    @pytest.mark.usefixtures("own_config")
    def test_a_folder_called_like_a_registered_dataset_is_found_again(
        self, recordings: Path, tmp_path: Path
    ):
        add_dataset(recordings.name, recordings, None, trust=False)
        root = shutil.copytree(recordings, tmp_path / recordings.name)
        shutil.rmtree(root / "wave")
        bank = bank_over_folder(root, 20)
        own = own_recipe(bank)
        again = bank_of_own_recipe(own["recipe"], own.get("root"), 20)
        assert (again.sha256, again.source.root) == (bank.sha256, root)


def decompose(name: str) -> str:
    return unicodedata.normalize("NFD", name)


class TestRecordings:
    @pytest.fixture
    def root(self, recordings: Path, tmp_path: Path) -> Path:
        return shutil.copytree(recordings, tmp_path / "data")

    def test_a_folder_in_a_class_is_a_recording(self, root: Path):
        videos = Folder("some", root).split("test").videos
        assert [(one.group, one.name) for one in videos if one.label == "wave"] == [
            ("alone.mp4", "alone.mp4"),
            ("kitchen", "kitchen/a.mp4"),
            ("kitchen", "kitchen/b.mp4"),
            ("été 2", "été 2/a.mp4"),
            ("été 2", "été 2/b.mp4"),
        ]

    def test_a_recording_of_many_videos_is_listed_at_once(self, root: Path):
        for number in range(4000):
            (root / "wave" / "kitchen" / f"{number}.mp4").touch()
        start = time.process_time()
        assert len(Folder("some", root).videos) == 13 + 4000
        assert time.process_time() - start < 1

    def test_no_query_is_of_its_support_s_recording(self, root: Path, tmp_path: Path):
        bank = bank_over_folder(root, 400)
        assert bank.recipe.protocol == "group-disjoint"
        assert bank.recipe.name == "data-3w1s-group-disjoint"
        words = ("--methods", "protonet", "--episodes", "20", "--out", tmp_path / "out")
        assert "recordings" in succeeds("run", "--data", root, *words)

    @pytest.mark.usefixtures("own_config")
    def test_registered_recordings_allow_a_bank_that_keeps_them_apart(
        self, root: Path, tmp_path: Path
    ):
        (root.parent / "test.txt").write_text(
            "open/a\nopen/b2\nclose/a.mp4\nclose/b2\nwave/a\nwave/b2\n"
        )
        for label in ("open", "close", "wave"):
            for clip in ("a.mp4", "b.mp4"):
                (root / label / "été 2" / clip).rename(root / label / "été 2" / f"{clip[0]}2.mp4")
        add_dataset("mine", root, root.parent / "test.txt", trust=False)
        split = dataset("mine").split("test")
        assert [one.group for one in split.videos[:2]] == ["kitchen", "été 2"]
        assert call("data", "verify", "mine")[0] == 0
        recipe = recipe_with(dataset="mine", protocol="group-disjoint", way=3)
        assert len(draw(recipe, split, 9)) == 9

    def test_a_list_names_recordings_where_files_are_called_alike(self, root: Path, tmp_path: Path):
        lines = "open/été 2/a.mp4\nopen/kitchen/a.mp4\nwave/alone\nwave//kitchen/b\n"
        (tmp_path / "test.txt").write_text(lines)
        members = register_folder("mine", root, tmp_path / "test.txt").lists["test"]
        assert sorted(members) == [
            ("open", "kitchen/a.mp4"),
            ("open", "été 2/a.mp4"),
            ("wave", "alone.mp4"),
            ("wave", "kitchen/b.mp4"),
        ]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("open/a\nclose/a\n", r"cannot tell kitchen/a\.mp4 from été 2/a\.mp4"),
            ("wave/b\nwave/kitchen/b.mp4\n", r"lists wave/kitchen/b\.mp4 twice"),
            ("wave/elsewhere/alone\n", r"lists wave/elsewhere/alone and 0 more that are not there"),
        ],
    )
    def test_a_line_that_stands_for_no_video_or_several_is_refused(
        self, lines: str, message: str, root: Path, tmp_path: Path
    ):
        (root / "wave" / "été 2" / "b.mp4").unlink()
        (tmp_path / "test.txt").write_text(lines)
        with pytest.raises(UserError, match=message):
            register_folder("mine", root, tmp_path / "test.txt")

    @pytest.mark.parametrize("name", ["test.txt", "test.json"])
    def test_a_converted_copy_is_not_taken_for_its_original(self, name: str, tmp_path: Path):
        for label in ("open", "wave"):
            (tmp_path / "videos" / label).mkdir(parents=True)
            for clip in ("a.avi", "a.avi.mp4"):
                (tmp_path / "videos" / label / clip).touch()
        lines = {"test.txt": "open/a.avi.mp4\n", "test.json": '{"a.avi.mp4": "open"}'}
        (tmp_path / name).write_text(lines[name])
        members = register_folder("mine", tmp_path / "videos", tmp_path / name).lists["test"]
        assert members == (("open", "a.avi.mp4"),)

    def test_pictures_beside_videos_do_not_make_them_frames(self, root: Path):
        Image.new("RGB", (40, 30)).save(root / "open" / "kitchen" / "cover.jpg")
        thumbnails = root / "open" / "@eaDir" / "a.mp4"  # as a disk station makes them
        thumbnails.mkdir(parents=True)
        for size in "SML":
            (thumbnails / f"SYNOPHOTO_THUMB_{size}.jpg").touch()
        assert len(Folder("some", root).videos) == 13
        assert len(videos_below(root)) == 13

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("kitchen/sub/x.mp4", r"kitchen/sub: the video .*x\.mp4 is too deep"),
            ("kitchen/sub/notes.txt", r"kitchen/sub: no video in this folder"),
            ("garden/notes.txt", r"garden: no video in this class folder"),
            ("frames/sub/x.mp4", r"frames/sub: the video .*x\.mp4 is too deep"),
            ("frames/stray.mp4", r"frames holds 3 pictures and 1 video files \(stray\.mp4\)"),
            ("garden/clip/stray.mp4", r"garden/clip: the video"),
        ],
    )
    def test_what_would_be_passed_over_is_refused(self, path: str, message: str, root: Path):
        frames = root / "open" / "frames"
        frames.mkdir()
        for number in range(3):
            (frames / f"{number}.jpg").touch()
        assert len(Folder("some", root).videos) == 14
        (root / "open" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "open" / path).touch()
        with pytest.raises(UserError, match=message):
            Folder("some", root).split("test")

    def test_a_class_of_one_recording_is_refused(self, root: Path):
        shutil.rmtree(root / "open" / "kitchen")
        with pytest.raises(UserError, match="'open' has a single video or recording, 1 such"):
            bank_over_folder(root)

    def test_splits_are_not_taken_for_classes(self, root: Path):
        for name, label in (("train", "open"), ("val", "close"), ("Test", "wave")):
            (root / label).rename(root / name)
        with pytest.raises(UserError, match="holds the splits Test, train, val, not classes"):
            bank_over_folder(root)
        (root / "val").rename(root / "unlabelled")
        with pytest.raises(UserError, match="holds the splits Test, train, not classes"):
            bank_over_folder(root)


class TestRefusals:
    def test_what_is_no_folder_of_classes(self, own: Path, tmp_path: Path):
        with pytest.raises(UserError, match="no such folder"):
            bank_over_folder(tmp_path / "nowhere")
        shutil.copytree(own / "wave", tmp_path / "one" / "wave")
        with pytest.raises(UserError, match="one class, 'wave'"):
            bank_over_folder(tmp_path / "one")
        shutil.copytree(own / "kick", tmp_path / "one" / "kick")
        (tmp_path / "one" / "lonely").mkdir()
        shutil.copy(own / "wave" / "one.mp4", tmp_path / "one" / "lonely")
        with pytest.raises(UserError, match="'lonely' has a single video or recording, 1 such"):
            bank_over_folder(tmp_path / "one")
        shutil.copy(own / "wave" / "one.mp4", tmp_path)
        shutil.rmtree(tmp_path / "one")
        with pytest.raises(UserError, match=r"1 videos outside any class.*CLASS/VIDEO"):
            bank_over_folder(tmp_path)

    @pytest.mark.parametrize("left_over", [None, "notes.txt", "clip.gif"])
    def test_a_class_without_videos(self, left_over: str | None, own: Path, tmp_path: Path):
        copied(own, tmp_path, 2)
        (tmp_path / "nothing").mkdir()
        if left_over:
            (tmp_path / "nothing" / left_over).write_text("x")
        with pytest.raises(UserError, match=r"no video in the class 'nothing', 1 such.*\.mp4"):
            bank_over_folder(tmp_path)

    def test_a_video_that_is_there_twice(self, own: Path, tmp_path: Path):
        copied(own, tmp_path, 2)
        shutil.copy(own / "wave" / "one.mp4", tmp_path / CLASSES[0] / "again.mp4")
        shutil.copy(own / "wave" / "one.mp4", tmp_path / CLASSES[1] / "again.mp4")
        printed = refused("run", "--data", tmp_path, "--methods", "protonet")
        assert printed.count("again.mp4") == 2


@pytest.fixture(scope="module")
def mixed(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of the six clips, and videos as people have them."""
    root = copied(own, tmp_path_factory.mktemp("mixed"), 3)
    make_video(root / CLASSES[0] / "narrow.mp4", 13, (72, 96))
    make_video(root / CLASSES[1] / "new codec.mkv", 14, codec="libsvtav1")
    return root


class TestWhatCannotBeRead:
    """It is named, and the rest is evaluated where the user says so."""

    @pytest.fixture
    def root(self, mixed: Path, tmp_path: Path) -> Path:
        return shutil.copytree(mixed, tmp_path / "data")

    def test_a_damaged_one_is_named_with_the_way_out(self, root: Path, tmp_path: Path):
        (root / CLASSES[2] / "damaged.mp4").write_bytes(b"no video" * 99)
        words = ("run", "--data", root, "--methods", "protonet,otam", "--out", tmp_path / "out")
        printed = refused(*words, "--episodes", "60")
        assert printed.count("damaged.mp4") == 1
        assert "--allow-missing" in printed
        printed = succeeds(*words, "--episodes", "60", "--allow-missing")
        assert "with 1 video that cannot be used:" in printed
        assert f"{CLASSES[2]}/damaged.mp4: " in printed
        assert "2 of 20 videos are read by av" in printed
        header = json.loads((tmp_path / "out" / "otam" / "run.json").read_text())["identity"]
        assert list(header["features"]["other_decoders"].values()) == [2]
        assert header["bank"] == f"data-3w1s ({header['episodes']} of 60 episodes)"
        bank = load_bank(root, 60)
        with pytest.raises(UserError, match=r"damaged\.mp4"):
            evaluate(load_method("otam"), bank)
        results = evaluate(load_method("otam"), bank, allow_missing=True)
        assert results.comparison.bank == results.bank.title == header["bank"]

    def test_what_is_no_file_is_refused_before_it_is_opened(self, root: Path, tmp_path: Path):
        folder = root / CLASSES[0]
        os.mkfifo(folder / "pipe.mp4")
        (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
        (folder / "device.mp4").symlink_to("/dev/zero")
        (folder / "out.mp4").symlink_to(make_video(tmp_path / "elsewhere.mp4", 15))
        words = ("run", "--data", root, "--methods", "protonet", "--episodes", "60")
        printed = refused(*words, "--out", tmp_path / "out")
        assert "circle.mp4: it is a " in printed
        assert ", and 3 others like it" in printed
        printed = succeeds(*words, "--allow-missing", "--out", tmp_path / "out")
        for name in ("pipe", "circle", "device", "out"):
            assert printed.count(f"{name}.mp4: it is a ") == 1

    def test_videos_of_a_class_that_may_not_be_read_can_be_left_out(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ):
        folder = Folder("mine", root)
        (lost,) = (one for one in folder.videos if one.name == "narrow.mp4")
        (root / lost.label / lost.name).unlink()

        def refuse(path: Path) -> None:
            raise PermissionError(path)

        monkeypatch.setattr(Path, "iterdir", refuse)
        assert folder.unusable([lost], NOTHING) == {lost: "it is not there"}

    @pytest.mark.parametrize(
        ("path", "why"), [("0.jpg/a.mp4", "it is not there"), ("x" * 300, "cannot be accessed")]
    )
    def test_a_path_that_cannot_be_is_not_called_a_circle(
        self, path: str, why: str, tmp_path: Path
    ):
        (tmp_path / "0.jpg").touch()
        assert why in why_not_opened(tmp_path / path, tmp_path)

    def test_a_folder_below_a_name_in_an_old_encoding_is_refused_in_a_line(
        self, root: Path, tmp_path: Path
    ):
        moved = tmp_path / os.fsdecode("caf\u00e9".encode("latin-1")) / "data"
        shutil.copytree(root, moved)
        for words in (
            ("run", "--data", moved, "--methods", "chance", "--out", tmp_path / "out"),
            ("data", "add", "egogestar", "--root", moved),
        ):
            assert "this path is not in UTF-8" in refused(*words).replace("\n", " ")

    def test_a_name_in_an_old_encoding_is_refused_in_a_line(self, root: Path, tmp_path: Path):
        old = os.fsdecode("caf\u00e9.mp4".encode("latin-1"))
        make_video(root / CLASSES[0] / "new.mp4", 16).rename(root / CLASSES[0] / old)
        printed = refused("run", "--data", root, "--methods", "protonet")
        assert "caf\\udce9.mp4' is not in UTF-8" in printed.replace("\n", " ")


@pytest.mark.usefixtures("own_config")
def test_weights_are_not_tested_on_their_training_classes_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    videos_of(tmp_path / "clips", CLASSES, opened=False)
    add_dataset("mine", tmp_path / "clips", None, trust=False)
    learned = dataset("mine").split("train")
    for bank in (bank_over_folder(tmp_path / "clips"), bank_of("mine", "train")):
        with pytest.raises(UserError, match=r"trained on mine have seen .*--weights none"):
            check_unseen("mine", learned.sha256, bank)
    check_unseen("mine", learned.sha256, bank_of("mine", "test"))
    check_unseen("others", "0" * 64, bank_of("mine", "train"))
    assert not capsys.readouterr().err
    check_unseen("mine", "0" * 64, bank_of("mine", "test"))
    assert "the training list of mine has changed since" in capsys.readouterr().err
    # Whoever has the weights of others may have the test videos alone.
    tested = dataset("mine").split("test").videos
    lines = (f"{video.label}/{video.name}\n" for video in tested)
    (tmp_path / "test.txt").write_text("".join(lines))
    add_dataset("mine", tmp_path / "clips", tmp_path / "test.txt", trust=False)
    check_unseen("mine", learned.sha256, bank_of("mine", "test"))
    assert not capsys.readouterr().err


def bank_of(name: str, split: SplitName) -> Bank:
    recipe = recipe_with(dataset=name, split=split, way=2, episodes=2)
    return rebuild(frozen(recipe, dataset(name).split(split)))
