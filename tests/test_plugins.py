"""What others bring: an installed package, and files that --plugin names."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.plugins.registry import all_methods
from bench.runs.directory import read_run
from episodes import plugins
from tests.command import call, pytest_in_a_copy, refused, succeeds
from tests.conftest import videos_of
from tests.outside_package import OUTSIDE, installed

METHODS, BANK, BACKBONE = "outside,protonet", "outside-5w1s", "outside-colours"


@pytest.fixture(scope="class")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with installed(tmp_path_factory.mktemp("site")) as folder:
        yield folder


@pytest.fixture(scope="module")
def small_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes of two clips."""
    return videos_of(tmp_path_factory.mktemp("clips"), ("open", "close", "wave"))


@pytest.fixture(scope="class")
def features(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the package's backbone, of all its videos."""
    folder = tmp_path_factory.mktemp("given")
    bank = folder / "outside-train.toml"
    succeeds(
        *("bank", "new", "outside-train", "--dataset", "outside-squares", "--out", bank),
        *("--split", "train"),
    )
    for one in (bank, "outside-4w1s-val", BANK):
        succeeds(
            *("features", "export", "--bank", one, "--backbone", BACKBONE),
            *("--out", folder / "features"),
        )
    return folder / "features"


class TestInstalledPackage:
    """Everything by commands alone."""

    def test_it_is_listed_checked_and_verified(self, package: Path):
        for kind, name in (
            ("methods", "outside"),
            ("backbones", BACKBONE),
            ("datasets", "outside-squares"),
            ("banks", BANK),
        ):
            assert name in {one["name"] for one in json.loads(succeeds("list", kind, "--json"))}
        assert "outside: ok" in succeeds("check-method", "outside")
        assert f"{BACKBONE}: ok, 8 rules" in succeeds("check-backbone", BACKBONE)
        assert succeeds("bank", "verify", BANK).startswith(f"equal: {BANK}, 200 episodes")

    def test_another_copy_of_its_files_is_not_taken_for_them(self, package: Path, tmp_path: Path):
        shutil.copytree(OUTSIDE / "outside_fewshot", tmp_path / "outside_fewshot")
        status, said = call("check-method", tmp_path / "outside_fewshot" / "method.py")
        assert status == 2
        assert "another package called outside_fewshot" in said
        assert "pip install -e" in said

    @pytest.mark.usefixtures("without_charts")
    def test_it_is_trained_run_reported_gated_and_exported_on_videos_and_on_features(
        self, features: Path, small_recipe: Path, tmp_path: Path
    ):
        trained = tmp_path / "trained"
        said = succeeds(
            *("train", "outside", "--recipe", small_recipe, "--backbone", BACKBONE),
            *("--validation", "outside-4w1s-val", "--freeze-backbone"),
            *("--device", "cpu", "--out", trained),
        )
        assert f"training outside from seed 0: the method alone, the backbone {BACKBONE}" in said
        assert "frozen; recipe small, 8 episodes of 4 classes with 1 + 1 videos" in said
        places = {"videos": ("--backbone", BACKBONE), "features": ("--features", features)}
        for name, words in places.items():
            succeeds(
                *("run", "--bank", BANK, "--methods", METHODS, "--weights", trained, *words),
                *("--out", tmp_path / name, "--device", "cpu"),
            )
        videos, given = (read_run(tmp_path / name / "outside") for name in places)
        assert videos.identity.weights_sha256 == given.identity.weights_sha256 is not None
        assert videos.rows["prediction"].equals(given.rows["prediction"])
        rows = read_run(tmp_path / "videos" / "protonet").rows
        assert len(rows) == 200 * 5
        assert (rows["label"] == rows["prediction"]).mean() > 0.9  # by the colours of its classes

        out = tmp_path / "videos"
        assert "outside" in succeeds("tables", out)
        assert "4 recordings" not in succeeds("compare", out)
        succeeds("report", out, "--out", tmp_path / "report.html")
        assert "outside-squares" in (tmp_path / "report.html").read_text()
        succeeds("figures", out, "--chart", "classes", "--out", tmp_path / "classes.svg")
        succeeds("power", out)
        assert " ok" in succeeds("gate", out, out, "--drop", "0.01")
        succeeds("bank", "export", BANK, "--out", tmp_path / "bank.csv")
        assert len((tmp_path / "bank.csv").read_text().splitlines()) == 1 + 200 * (5 + 5)
        succeeds("submit", out / "outside", "--out", tmp_path / "outside.zip")
        verify = ("verify", tmp_path / "outside.zip", "--rerun", "5", "--weights", trained)
        assert "5 episodes" in succeeds(*verify)
        succeeds("publish", out, tmp_path / "outside.zip", "--out", tmp_path / "site")


class TestTrainingOnFeatures:
    """Features in files take the place of the backbone, in training as in runs."""

    def train(self, features: Path, recipe: Path, *words: str | Path) -> tuple[int, str]:
        return call(
            *("train", "outside", "--recipe", recipe, "--validation", "outside-4w1s-val"),
            *("--features", features, "--device", "cpu", *words),
        )

    def test_it_gives_the_weights_that_the_videos_give(
        self, features: Path, small_recipe: Path, tmp_path: Path
    ):
        places = {}
        for name, words in (
            ("videos", ("--backbone", BACKBONE)),
            ("features", ("--features", features)),
        ):
            succeeds(
                *("train", "outside", "--recipe", small_recipe, *words, "--freeze-backbone"),
                *("--validation", "outside-4w1s-val", "--out", tmp_path / name),
            )
            places[name] = tmp_path / name / "outside" / "seed-0"
        weights = {name: (one / "weights.safetensors").read_bytes() for name, one in places.items()}
        assert weights["videos"] == weights["features"]
        card = json.loads((places["features"] / "card.json").read_text())
        assert card["backbone"].keys() == {"name", "weights_sha256", "features_sha256"}
        assert card["backbone"]["name"] == BACKBONE

    def test_other_features_are_another_training(
        self, features: Path, small_recipe: Path, tmp_path: Path
    ):
        own = shutil.copytree(features, tmp_path / "features")
        words = ("--freeze-backbone", "--out", tmp_path / "out")
        assert self.train(own, small_recipe, *words)[0] == 0
        path = next(own.glob("train-0/*.npy"))
        np.save(path, np.load(path) * 2)
        card = json.loads((own / "features.json").read_text())
        card["files"].pop(path.relative_to(own).as_posix())  # as whoever changes features does
        (own / "features.json").write_text(json.dumps(card))
        status, said = self.train(own, small_recipe, *words)
        assert (status, "features_sha256" in said) == (2, True)

    def test_weights_fit_features_of_the_same_kind_alone(
        self, features: Path, small_recipe: Path, tmp_path: Path
    ):
        own = shutil.copytree(features, tmp_path / "features")
        (own / "features.json").write_text('{"backbone": "ours", "weights_sha256": "0123456789"}')
        out = tmp_path / "weights"
        assert self.train(own, small_recipe, "--freeze-backbone", "--out", out)[0] == 0
        run = ("run", "--bank", BANK, "--methods", "outside", "--weights", out)
        succeeds(*run, "--features", own, "--out", tmp_path / "same")
        training = read_run(tmp_path / "same" / "outside").identity.training
        assert training.start == "ours 01234567"
        for words in (("--features", features), ("--backbone", BACKBONE)):
            said = refused(*run, *words, "--out", tmp_path / "other")
            assert "trained on features of backbone ours" in said
        (own / "features.json").unlink()
        said = refused(*run, "--features", own, "--out", tmp_path / "other")
        assert "nothing says what made these; say so in features.json beside them" in said

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "leaves no backbone to train; add --freeze-backbone"),
            (("--freeze-backbone", "--backbone", "motion"), "--backbone: for videos, which"),
            (("--freeze-backbone",), "nothing says what made the features"),
        ],
    )
    def test_what_does_not_go_together_is_refused_in_one_line(
        self, words: tuple[str, ...], said: str, features: Path, small_recipe: Path, tmp_path: Path
    ):
        own = shutil.copytree(features, tmp_path / "features")
        (own / "features.json").unlink()
        status, printed = self.train(own, small_recipe, *words, "--out", tmp_path / "out")
        assert (status, said in printed) == (2, True)
        assert printed.count("\n") == 1


def test_the_module_beside_its_method_belongs_to_the_identity(tmp_path: Path):
    hashes = []
    for number, power in enumerate(("1.0", "2.0")):
        with installed(tmp_path / f"site-{number}") as folder:
            layers = folder / "outside_fewshot" / "layers.py"
            layers.write_text(layers.read_text().replace("POWER = 1.0", f"POWER = {power}"))
            out = tmp_path / "out"
            succeeds(
                *("run", "--bank", BANK, "--methods", "outside", "--backbone", BACKBONE),
                *("--episodes", "5", "--out", out, "--device", "cpu"),
            )
            hashes.append(read_run(out / "outside").identity.source_sha256)
    assert None not in hashes
    assert len(set(hashes)) == 2


NEW = "my_backbone"


def new(folder: Path) -> Path:
    """Write a backbone from the template."""
    succeeds("new-backbone", NEW, "--into", folder)
    return folder / f"{NEW}.py"


@pytest.mark.usefixtures("plugins_forgotten")
class TestNewBackbone:
    def test_it_keeps_the_rules_and_so_says_its_own_test(self, tmp_path: Path):
        file = new(tmp_path)
        assert "my-backbone: ok, 8 rules; maps 6 x 8 x 7 x 7" in succeeds("check-backbone", file)
        status, said = pytest_in_a_copy(tmp_path)
        assert status == 0, said

    @pytest.mark.parametrize(
        ("rule", "line", "instead"),
        [
            ("declarations", 'pretraining = "none"', 'pretraining = ""'),
            ("declarations", 'pretraining = "none"', "trained = 1"),
            ("declarations", "channels = 6", "width = 6"),
            ("declarations", "revision = 1", "version = 1"),
            ("declarations", "mean=(0.5, 0.5, 0.5)", "mean=[0.5, 0.5, 0.5]"),
            ("shape", "channels = 6", "channels = 7"),
            ("shape", "([colours, changes]", "([0 * colours, 0 * colours]"),
            ("space", "changes], dim=1)", "changes], dim=1).mT.contiguous()"),
            ("space", "changes], dim=1)", "changes], dim=1).flip(3)"),
            ("time", "changes], dim=1)", "changes], dim=1).flip(2)"),
            ("batch", "(clips, self.grid)", "(clips - 0.5 * clips.mean(dim=0), self.grid)"),
            ("evaluation", "(clips, self.grid)", "(clips + 0.01 * torch.rand(1), self.grid)"),
            ("evaluation", "(clips, self.grid)", "(clips.add_(1), self.grid)"),
        ],
    )
    def test_a_broken_rule_is_told(self, rule: str, line: str, instead: str, tmp_path: Path):
        file = new(tmp_path)
        text = file.read_text()
        assert text.count(line) == 1
        file.write_text(text.replace(line, instead))
        status, said = call("check-backbone", file)
        assert status == 1
        assert f"my-backbone breaks {rule}: " in said

    def test_it_is_run_and_listed_by_its_file(self, tmp_path: Path, small_clips: Path):
        file = new(tmp_path)
        said = succeeds("list", "backbones", "--plugin", file)
        assert "my-backbone" in said
        assert "of the plugin fvbench_plugin_" in succeeds("doctor")
        succeeds(
            *("run", "--plugin", file, "--backbone", "my-backbone", "--methods", "protonet"),
            *("--data", small_clips, "--episodes", "5", "--out", tmp_path / "out"),
        )
        features = read_run(tmp_path / "out" / "protonet").identity.features
        assert features.backbone == "my-backbone"

    @pytest.mark.parametrize(
        ("name", "words"), [("motion", "there is a backbone called motion"), ("1x", "lower-case")]
    )
    def test_a_name_that_does_not_do(self, name: str, words: str, tmp_path: Path):
        assert words in refused("new-backbone", name, "--into", tmp_path)

    def test_a_backbone_with_a_name_of_ours_is_refused(self, tmp_path: Path):
        file = new(tmp_path)
        file.write_text(file.read_text().replace('"my-backbone"', '"motion"'))
        said = refused("check-backbone", "motion", "--plugin", file)
        assert "two backbones are called motion" in said


@pytest.mark.usefixtures("plugins_forgotten")
@pytest.mark.usefixtures("without_charts")
def test_runs_on_a_data_set_in_a_file_are_packed_published_and_cited(tmp_path: Path):
    for name in ("squares.py", "banks"):
        source, target = OUTSIDE / "outside_fewshot" / name, tmp_path / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    file, out = tmp_path / "squares.py", tmp_path / "out"
    succeeds(
        *("run", "--plugin", file, "--bank", BANK, "--methods", "protonet", "--episodes", "5"),
        *("--out", out),
    )
    plugins.loaded_files.clear()  # as in the next process
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("submit", out / "protonet", "--out", tmp_path / "protonet.zip"),
        ("publish", tmp_path / "protonet.zip", "--out", tmp_path / "site"),
        ("cite", out),
    )
    for words in commands:
        if words[0] != "cite":  # which only prints less
            said = refused(*words)
            assert "no dataset is called 'outside-squares'" in said
            assert "--plugin" in said
        succeeds(*words, "--plugin", file)
        plugins.loaded_files.clear()


def test_what_other_programs_leave_beside_plugins_is_none(tmp_path: Path):
    for name in ("mine.py", "._mine.py", "_parts.py", "test_mine.py", "conftest.py"):
        (tmp_path / name).touch()
    assert [file.name for file in plugins.plugin_files(tmp_path)] == ["mine.py"]


@pytest.mark.usefixtures("plugins_forgotten")
def test_a_method_of_frames_that_nobody_can_sample_costs_the_others_nothing(tmp_path: Path):
    method = (
        "from bench.method import register\nfrom tests.synthetic import MeanVectors\n"
        "@register\nclass Odd(MeanVectors):\n    name = 'odd'\n    sampling = 'every-other'\n"
    )
    (tmp_path / "odd.py").write_text(method)
    words = ("list", "methods", "--plugin", tmp_path)
    assert "left out: " in (said := succeeds(*words))
    assert "no frame sampling is called 'every-other'" in said
    assert "'every-other'" in refused("list", "methods", "--plugin", tmp_path / "odd.py")


@pytest.mark.usefixtures("plugins_forgotten")
def test_plugins_of_a_folder_may_import_each_other(tmp_path: Path):
    text = (
        "from bench.method import register\nfrom {} import {}\n"
        "@register\nclass {}({}):\n    name = '{}'\n"
    )
    for name, file, base in (
        *(("Middle", "tests.synthetic", "MeanVectors"), ("Above", "middle", "Middle")),
        *(("Zenith", "middle", "Middle"), ("Below", "middle", "Middle")),
    ):
        (tmp_path / f"{name.lower()}.py").write_text(
            text.format(file, base, name, base, name.lower())
        )
    found = all_methods([tmp_path], leave_out=False)
    assert {"above", "below", "middle", "zenith"} <= found.keys()
    assert issubclass(found["zenith"].cls, found["middle"].cls)
