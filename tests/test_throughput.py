"""`fvbench throughput`: what it says of a method whose cost is known."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.machine.device import Stopwatch
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.throughput.peaks import repeated
from bench.throughput.plan import Sizes
from bench.throughput.stages import Workload, measure
from tests.command import fvbench, refused, succeeds
from tests.synthetic import CPU

pytestmark = pytest.mark.usefixtures("short_timings")
SMALL = ("--features", "8,2,3,3", "--videos", "20", "--queries", "3", "--device", "cpu")
SLOW = """
from bench.machine.device import time
from bench.method import register
from tests.synthetic import MeanVectors

@register
class Slow(MeanVectors):
    name = "slow"

    def encode(self, features):
        time.sleep(0.02)
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support):
        time.sleep(0.01)
        return support.mean(dim=2)

    def score(self, state, query):
        time.sleep(0.04)
        return query @ state.mT
"""


@pytest.fixture
def clock(monkeypatch):
    """Time passes where somebody sleeps, or looks at it: a busy machine changes no figure."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    def perf_counter():
        sleep(1e-6)
        return now[0]

    clock = SimpleNamespace(perf_counter=perf_counter, sleep=sleep)
    monkeypatch.setattr("bench.machine.device.time", clock)
    monkeypatch.setattr("bench.throughput.peaks.MOST", 1)  # a product takes no time here
    return clock


def measured(*words):
    output = succeeds("throughput", *SMALL, *words, "--json")
    return {(row["method"], row["stage"]): row for row in json.loads(output)}


@pytest.mark.usefixtures("plugins_forgotten")
def test_stages_of_a_method_whose_cost_is_known(tmp_path, clock):
    (tmp_path / "slow.py").write_text(SLOW)
    plugin = ("--plugin", str(tmp_path))
    rows = measured("--methods", "slow", *plugin, "--batch-size", "10")
    found = {stage: row for (_, stage), row in rows.items()}
    assert list(found) == ["encode", "adapt", "score", "total"]
    assert found["encode"]["clips_per_s"] == pytest.approx(20 / 0.02, rel=1e-3)
    assert found["adapt"]["episodes_per_s"] == pytest.approx(10 / 0.01, rel=1e-3)
    assert found["score"]["episodes_per_s"] == pytest.approx(10 / 0.04, rel=1e-3)
    seconds = 20 / found["encode"]["clips_per_s"] + 10_000 * 0.05 / 10
    assert found["total"]["episodes_per_s"] == pytest.approx(10_000 / seconds, rel=1e-3)
    assert found["score"]["flop"] == 2 * 3 * 5 * 8  # queries x classes x channels
    for row in found.values():
        assert row["dtype"] == "float32"
        assert (row["device"], row["threads"]) == ("cpu", torch.get_num_threads())
        assert row["repeats"] == 5
        low, high = row["quartiles_per_s"]
        unit = "clips" if row["stage"] == "encode" else "episodes"
        assert low <= row[f"{unit}_per_s"] <= high


def test_what_a_method_prints_is_no_part_of_the_figures(tmp_path):
    talking = SLOW.replace("time.sleep(0.04)", "print('scoring')").replace("time.sleep", "float")
    (tmp_path / "talking.py").write_text(talking.replace('"slow"', '"talking"'))
    words = ("--plugin", tmp_path, "--methods", "talking", "--batch-size", "2500")
    ended = fvbench("throughput", *SMALL, *words, "--json")
    assert ended.returncode == 0
    assert len(json.loads(ended.stdout)) == 4
    assert "scoring" in ended.stderr


@pytest.mark.parametrize(("videos", "blocks"), [(20, 1), (49, 2)])
def test_operations_are_those_of_all_pairs(videos: int, blocks: int):
    """Each pair is compared once for ten thousand episodes, a block of 48 videos at a time."""
    sizes = Sizes(FeatureShape(8, 2, 1, 1), videos, 5, 1, 5)
    workload = Workload(built_in_methods()["otam-paper"].plain, sizes, CPU, 64)
    assert workload.by_pair
    stages = {stage.name: stage for stage in measure(workload, 1)}
    assert stages["score"].flop == 2 * 2**2 * 8 * 5 * 5
    assert stages["total"].flop == pytest.approx(2 * 2**2 * 8 * videos**2 / 10_000)
    features = 2 * 8 * 4  # bytes of a video
    encoded = features + 2 * 4  # and the lengths of its frames
    moved = videos * (blocks * encoded + features + encoded)
    assert stages["total"].bytes_moved == pytest.approx(moved / 10_000)


def test_several_methods_each_in_a_process_of_its_own(monkeypatch):
    def run(command, **_):
        assert command[:3] == [sys.executable, "-m", "bench"]
        return fvbench(*command[3:])

    monkeypatch.setattr("bench.throughput.record.subprocess.run", run)
    output = succeeds("throughput", *SMALL, "--methods", "single-frame,protonet")
    lines = [line.split("│")[1].strip() for line in output.splitlines() if "│" in line]
    assert lines[1:] == ["single-frame"] * 4 + ["protonet"] * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--features", "8,2,3"), "four positive whole numbers"),
        (("--features", "8,0,3,3"), "four positive whole numbers"),
        (("--videos", "7"), "takes 8"),
        (("--methods", "protonett"), "did you mean protonet"),
    ],
)
def test_bad_input(words, message):
    assert message in refused("throughput", "--methods", "protonet", *SMALL, *words)


def test_a_video_has_features_by_its_number_and_is_in_an_episode_once():
    sizes = Sizes(FeatureShape(3, 2, 1, 1), 20, 5, 2, 5)
    assert torch.equal(sizes.feature_maps(0, 8)[5], sizes.feature_maps(5, 1)[0])
    episodes = sizes.episodes(50)
    videos = np.concatenate([episodes.support.reshape(50, -1), episodes.query], axis=1)
    assert all(len(set(row)) == 15 for row in videos.tolist())


def test_a_timing_is_of_one_unit(clock):
    timing = repeated(lambda batches: clock.sleep(0.002 * batches), 3, 5, CPU, each=4)
    assert timing.units == 12
    assert timing.median == pytest.approx(0.0005, rel=1e-3)


def test_no_speed_from_a_device_that_nobody_waited_for():
    watch = Stopwatch(CPU)
    with pytest.raises(RuntimeError, match="not stopped"), watch:
        _ = watch.seconds
