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


def test_open_the_default_bank(benchmark: Benchmark):
    benchmark(open_bank, "default")


def test_draw_a_million_episodes(benchmark: Benchmark):
    recipe, split = read_recipe("default"), dataset("rendered").split("test")
    benchmark.pedantic(draw, (recipe, split, 1_000_000), rounds=3)


@pytest.mark.parametrize("name", ["protonet", "diagonal", "otam", "mastaf"])
def test_score_a_thousand_episodes(benchmark: Benchmark, name: str):
    features, episodes = random_features(960, (96, 8, 6, 6)), draw_episodes(1000)
    method = built_in_methods()[name].build(FeatureShape(96, 8, 6, 6), seed=0)
    benchmark.pedantic(
        evaluate, (method, features, episodes, CPU, 256, NOTHING), rounds=3, warmup_rounds=1
    )
