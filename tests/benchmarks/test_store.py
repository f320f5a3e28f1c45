"""How fast large stores and banks open, and how fast features are read: `tox run -e speed`."""

from pathlib import Path

import numpy as np
import pytest

from bench.features.filling import SHARD
from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.banks.bank import frozen, open_bank
from episodes.banks.recipe import read_recipe
from episodes.datasets import dataset
from tests.benchmarks.test_speed import Benchmark, of_size

IDENTITY = {"test": "speed"}
DEFAULT = FeatureShape(96, 8, 6, 6)  # 110,592 bytes a video


def store_of(folder: Path, videos: int, shape: FeatureShape) -> list[str]:
    """Fill a store in shards of the size that embedding writes; return the videos' names."""
    store, names = FeatureStore(folder, IDENTITY, shape), [f"{i:064x}" for i in range(videos)]
    for first in range(0, videos, SHARD):
        part = names[first : first + SHARD]
        store.write(part, np.ones((len(part), *shape), np.float32), 1.0)
    return names


def test_open_a_bank_of_a_million_episodes(benchmark: Benchmark, tmp_path: Path):
    split = dataset("rendered").split("test")
    episodes = of_size(1_000_000, benchmark)
    recipe = frozen(read_recipe("default").changed(episodes=episodes), split)
    path = tmp_path / "million.toml"
    path.write_text(recipe.text())
    benchmark.pedantic(open_bank, (str(path),), rounds=3)


def test_open_a_store_of_a_hundred_thousand_videos(benchmark: Benchmark, tmp_path: Path):
    shape = FeatureShape(1, 1, 1, 1)
    store_of(tmp_path, of_size(100_000, benchmark), shape)
    benchmark.pedantic(FeatureStore, (tmp_path, IDENTITY, shape), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("how", ["read", "copy of an array"])
def test_1024_videos_of_the_default_backbone(benchmark: Benchmark, tmp_path: Path, how: str):
    """113 MB, from files that the system has in memory, beside a copy of as many bytes."""
    names = store_of(tmp_path, of_size(1024, benchmark), DEFAULT)
    store = FeatureStore(tmp_path, IDENTITY, DEFAULT)
    work = (lambda: store.read(names)) if how == "read" else store.read(names).copy
    benchmark.pedantic(work, rounds=7, warmup_rounds=2)
