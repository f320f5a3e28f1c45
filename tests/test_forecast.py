"""How long a run will take: the arithmetic, and the figures of a small run."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.commands import forecast, measuring
from bench.commands import run as run_command
from bench.commands.forecast import Forecast, ForecastPart, Steps
from bench.commands.measuring import Measures, Videos, overlapped
from bench.features.backbones import load_backbone
from bench.machine import progress
from bench.machine.progress import Reporter
from bench.plugins.registry import built_in_methods
from bench.training.plan import Training
from bench.training.recipe import read_training_recipe
from episodes.banks.bank import open_bank
from episodes.cache import ENVIRONMENT_VARIABLE
from episodes.errors import UserError
from tests.command import call, succeeds
from tests.outside_package import installed
from tests.synthetic import CPU


def test_a_unit_that_takes_long_is_timed_once_after_the_first(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(measuring, "PATIENCE", -1.0)
    assert measuring.pace_on(CPU, asked.append, 9) > 0
    assert asked == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "each"),
    [
        (lambda units: 0.3 + 1e-4 * units, 0.3 / 256 + 1e-4),  # steps that all episodes share
        (lambda units: 0.6 * math.ceil(units / 16), 0.6 / 16),  # 16 processors
        (lambda units: 0.3 * units, 0.3),
        (lambda units: 1e-6 * units, 1e-6),
    ],
)
def test_units_are_timed_together_as_long_as_that_is_faster(
    seconds: Callable[[int], float], each: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measuring, "_seconds", lambda _, __, units: seconds(units))
    assert measuring.pace_on(CPU, int, 256) == pytest.approx(each, rel=0.3)


def test_the_cost_of_a_call_that_prepares_videos_is_told_from_that_of_a_video(
    monkeypatch: pytest.MonkeyPatch,
):
    source = SimpleNamespace(name="some", files=lambda _, videos, __: list(videos))
    used = list("abcdefghij" * 20)
    for each, seconds in ((0.04, 8.0), (0.001, 0.0)):  # so little that all are prepared at once
        monkeypatch.setattr(measuring, "_seconds", lambda _, __, n, each=each: 1.5 + each * n)
        found = measuring.prepared(source, "test", used)
        assert (found.seconds, found.files is None) == (pytest.approx(seconds), seconds > 0)


def test_a_gpu_waits_for_the_slower_and_a_cpu_does_both(monkeypatch: pytest.MonkeyPatch):
    gpu = torch.device("cuda")
    assert (overlapped(10, 4, gpu), overlapped(4, 10, gpu)) == (10, 10)
    monkeypatch.setattr("os.cpu_count", lambda: 2 * torch.get_num_threads())
    assert (overlapped(10, 4, CPU), overlapped(1, 10, CPU)) == (12, 10)


def test_what_could_not_be_tried_is_left_out_of_the_sum():
    forecast = Forecast(
        [
            ForecastPart("embed", "9 videos", 30),
            ForecastPart("a on b", "", math.nan),
            ForecastPart("a on b", "", 5),
        ]
    )
    assert forecast.seconds == 35
    assert forecast.expected == {"embed": [30], "a on b": [0, 5]}
    assert forecast.in_words() == (
        "about 35 s in all, if this machine stays as busy as it is: embed 30 s, a on b 5 s"
    )
    assert "unknown time" in forecast.table()


def test_lines_say_how_much_time_is_left_for_all_stages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = iter([0.0, 25.0, 30.0, 100.0, 0.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    reporter = Reporter({"embed": [90.0], "otam": [20.0, 30.0], "mastaf": [300.0]})
    with reporter.stage("embed") as report:
        for done in (1, 2, 4):  # nothing is said so soon after the first
            report(done, 4)
    with reporter.stage("otam") as report:
        report(2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "embed: 1 of 4 in 25.0 s, about 75 s left; about 7 min left in all",
        "embed: 4 of 4 in 100.0 s; about 6 min left in all",
        "otam: 2 of 2 in 7.0 s; about 6 min left in all",
    ]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with installed(tmp_path_factory.mktemp("site")) as folder:
        yield folder


RUN = ("--bank", "outside-5w1s", "--backbone", "outside-colours", "--methods", "protonet,outside")


@pytest.mark.usefixtures("package")
class TestDryRun:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))

    def tried(self, *words: str | Path) -> dict:
        said = succeeds("run", *RUN, "--dry-run", "--json", *words)
        content: dict = json.loads(said[said.index("{\n") :])
        return content

    def test_it_says_what_a_run_would_do_and_does_nothing(self, tmp_path: Path):
        words = ("--out", tmp_path / "out")
        found = self.tried(*words)
        assert not (tmp_path / "out").exists()
        assert [part["title"] for part in found["parts"]] == [
            *("embed segment-centres", "protonet on outside-5w1s", "outside on outside-5w1s")
        ]
        assert [part["work"] for part in found["parts"]] == ["20 videos", *["200 episodes"] * 2]
        assert all(part["seconds"] > 0 for part in found["parts"])
        assert found["seconds"] == pytest.approx(sum(part["seconds"] for part in found["parts"]))
        assert (found["embedded"], found["there"], found["problems"]) == (20, [], [])
        assert found["disk_bytes"] == 20 * 4 * 6 * 4**3 + 2 * 6 * 200 * 5
        assert found["memory_bytes"] > 50e6
        assert call("run", *RUN, *words)[0] == 0
        found = self.tried(*words)
        assert (found["embedded"], found["parts"]) == (0, [])
        assert found["there"] == ["protonet on outside-5w1s", "outside on outside-5w1s"]

    def test_videos_that_take_long_to_make_are_not_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("bench.commands.measuring.AT_ONCE", -1.0)  # nine may look like none
        found = self.tried("--out", tmp_path / "out")
        assert [part["work"] for part in found["parts"][:2]] == ["20 videos at most"] * 2
        assert found["parts"][0]["title"] == "prepare outside-squares videos"
        assert len(list((tmp_path / "cache").rglob("*.mkv"))) == 9

    def test_a_method_that_fails_is_named(self, tmp_path: Path):
        assert call("new-method", "mine", "--into", tmp_path)[0] == 0
        file = tmp_path / "mine.py"
        text = file.read_text()
        file.write_text(text.replace("return normalize(query", "return normalise(query"))
        found = self.tried("--plugin", file, "--methods", "mine,protonet", "--out", tmp_path)
        (problem,) = found["problems"]
        assert problem.startswith("method mine failed: NameError")
        mine, protonet = found["parts"][-2:]
        assert mine["seconds"] is None
        assert protonet["seconds"] > 0


@pytest.mark.usefixtures("package")
def test_a_long_run_says_how_long_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_command, "SOON", 0.0)
    said = succeeds("run", *RUN, "--out", tmp_path)
    lines = said.splitlines()
    (total,) = (
        place
        for place, line in enumerate(lines)
        if "if this machine stays as busy as it is" in line
    )
    (scored,) = (place for place, line in enumerate(lines) if line.startswith("protonet on"))
    assert total < scored


def test_a_training_lasts_as_long_as_its_steps_and_looks():
    training: Any = SimpleNamespace(
        recipe=SimpleNamespace(validate_every=50), device=torch.device("cuda")
    )
    assert Steps(step=2.0, validation=10.0, decoding=5.0).seconds(training, 100) == 100 * 2 + 3 * 10
    assert Steps(2.0, 10.0, 9000.0).seconds(training, 100) == 9000


def test_features_that_two_methods_share_are_embedded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forecast, "prepared", lambda _, __, used: Videos(used, (), (), 0.0))
    monkeypatch.setattr(
        forecast, "open_store", lambda *_: SimpleNamespace(missing=lambda _: range(5))
    )
    monkeypatch.setattr(forecast, "pace_on", lambda *_: 0.1)
    monkeypatch.setattr(Measures, "both", lambda *_: 7.0)
    monkeypatch.setattr(Measures, "method", lambda *_: (1.0, 0))
    loaded, bank = load_backbone("motion", CPU), open_bank("rendered-5w1s-val", 4)
    known = built_in_methods()
    trainings = [
        Training(
            entry, 0, read_training_recipe("default", entry), bank, loaded, False, CPU, tmp_path
        )
        for entry in map(known.__getitem__, ("relation-net", "trx"))
    ]
    found = forecast.of_trainings(trainings)
    embedded = [part for part in found.parts if part.title.startswith("embed ")]
    assert [(part.work, part.seconds) for part in embedded] == [("10 videos", 14.0)]
    assert found.embedded == 10


def test_a_training_of_nothing_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forecast, "prepared", lambda _, __, used: Videos(used, (), (), 0.0))
    monkeypatch.setattr(forecast, "pace_on", lambda _, work, __: work(1))
    monkeypatch.setattr(Measures, "decode", lambda *_: 0.1)
    monkeypatch.setattr(Measures, "embed", lambda *_: 0.1)
    monkeypatch.setattr(Measures, "method", lambda *_: (1.0, 0))
    loaded, bank = load_backbone("motion", CPU), open_bank("rendered-5w1s-val", 4)
    chance = built_in_methods()["chance"]
    recipe = read_training_recipe("default", chance).changed(episodes_at_once=1)
    training = Training(chance, 0, recipe, bank, loaded, True, CPU, tmp_path)
    with pytest.raises(UserError, match="there is nothing to train"):
        forecast.of_trainings([training])
