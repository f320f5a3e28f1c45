"""How fast the stages are: `tox run -e speed`."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.running.loop import evaluate
from episodes.banks.bank import open_bank
from episodes.banks.recipe import read_recipe
from episodes.banks.sampler import draw
from episodes.datasets import dataset
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features

Benchmark = Callable[..., Any]


def of_size(full: int, benchmark: Any) -> int:
    """A thousandth where nothing is timed: that the benchmark still runs is all that is seen."""
    return full if benchmark.enabled else full // 1000


def test_open_the_default_bank(benchmark: Benchmark):
    benchmark(open_bank, "default")


def test_draw_a_million_episodes(benchmark: Benchmark):
    recipe, split = read_recipe("default"), dataset("rendered").split("test")
    benchmark.pedantic(draw, (recipe, split, of_size(1_000_000, benchmark)), rounds=3)


@pytest.mark.parametrize("name", ["protonet", "diagonal", "otam", "mastaf"])
def test_score_a_thousand_episodes(benchmark: Benchmark, name: str):
    features = random_features(960, (96, 8, 6, 6))
    episodes = draw_episodes(of_size(1000, benchmark))
    method = built_in_methods()[name].build(FeatureShape(96, 8, 6, 6), seed=0)
    benchmark.pedantic(
        evaluate, (method, features, episodes, CPU, 256, NOTHING), rounds=3, warmup_rounds=1
    )
