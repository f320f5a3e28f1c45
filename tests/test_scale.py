"""Large banks, large stores and many episodes: what each may take.

Times are of the processor, of one thread: they do not depend on what else the machine does. The
bounds are several times what was measured (docs/scale.md), and far below what a step that grows
faster than its input would take.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.banks.bank import frozen, open_bank
from episodes.banks.recipe import read_recipe
from episodes.datasets import dataset

ROOT = Path(__file__).parents[1]
MILLION = 1_000_000
VIDEOS, SHARDS = 100_000, 20
SHAPE = FeatureShape(1, 1, 1, 1)


@pytest.fixture
def processor():
    """Seconds of this process's processor time since the test began, or since the last call."""
    last = time.process_time()

    def since() -> float:
        nonlocal last
        before, last = last, time.process_time()
        return last - before

    return since


def test_a_million_episodes_are_drawn_in_3_seconds_and_their_bank_opens_in_2(tmp_path, processor):
    recipe, split = read_recipe("default"), dataset("rendered").split("test")
    processor()
    stated = frozen(recipe.changed(episodes=MILLION), split)
    assert processor() < 3
    path = tmp_path / "million.toml"
    path.write_text(stated.text())
    bank = open_bank(str(path))
    assert processor() < 2
    assert len(bank.episodes) == MILLION


@pytest.fixture(scope="module")
def large_store(tmp_path_factory) -> Path:
    """Where a store of a hundred thousand videos is, video i with the feature i."""
    folder = tmp_path_factory.mktemp("features")
    store = FeatureStore(folder, {"test": "scale"}, SHAPE)
    for numbers in np.split(np.arange(VIDEOS), SHARDS):
        features = numbers.astype(np.float32).reshape(-1, *SHAPE)
        store.write([f"{number:064x}" for number in numbers], features, 1.0)
    return folder


def test_a_store_of_a_hundred_thousand_videos_opens_and_is_read_in_a_second_each(
    large_store, processor
):
    processor()
    store = FeatureStore(large_store, {"test": "scale"}, SHAPE)
    assert processor() < 1
    chosen = [99_999, 0, 5_000, 4_999]
    names = [f"{number:064x}" for number in chosen]
    assert store.read(names).ravel().tolist() == chosen
    assert store.missing([*names, "new"]) == ["new"]
    names = [f"{number:064x}" for number in reversed(range(VIDEOS))]
    processor()
    features = store.read(names)
    assert processor() < 1
    assert features.ravel().tolist() == list(reversed(range(VIDEOS)))


def test_ten_times_the_episodes_take_ten_times_the_time_and_the_same_memory():
    """Videos are encoded as often as before; memory grows by the answers alone."""
    words = ["-m", "tests.benchmarks.growth", "--episodes", "1000", "--repeats", "1"]
    finished = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    few, many = json.loads(finished.stdout)
    assert many["episodes"] == 10 * few["episodes"]
    assert many["videos_encoded"] == few["videos_encoded"] == 960
    assert many["peak_memory_bytes"] < 1.1 * few["peak_memory_bytes"]
    # To encode the videos takes as long as before, and would hide what grows faster.
    assert many["scoring_cpu_seconds"] < 1.2 * 10 * few["scoring_cpu_seconds"]
