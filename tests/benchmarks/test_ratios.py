"""How much faster methods are than one episode at a time: `tox run -e speed` prints the table."""

import statistics
import time

import pytest
import torch
from tabulate import tabulate

from bench.device import keep_freed_memory
from bench.loop import cached, encode, score
from bench.method import FeatureShape
from bench.registry import built_in_methods
from bench.throughput.plan import Sizes
from tests.benchmarks.reference import REFERENCES
from tests.synthetic import CPU

GOALS = {"mastaf": 4, "otam": 20, "trx": 25, "hyrsm": 6, "strm": 100}
SHAPES = {"mastaf": (2048, 1, 7, 7), "strm": (2048, 8, 7, 7)}
FRAMES = (2048, 8, 1, 1)
VIDEOS, EPISODES, SAMPLE, ROUNDS = 480, 10_000, 64, 9
FOUND: dict[str, tuple[float, float]] = {}
"""Method -> episodes/s of the reference, and of the method with encoding counted."""


def seconds(work, rounds=ROUNDS):
    work()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


@pytest.fixture(scope="module", autouse=True)
def table(pytestconfig):
    yield
    if not FOUND:
        return
    ratios = {name: fast / slow for name, (slow, fast) in FOUND.items()}
    lines = [
        [name, f"{FOUND[name][0]:.1f}", f"{FOUND[name][1]:,.0f}", f"{ratio:.1f}", GOALS[name]]
        for name, ratio in ratios.items()
    ]
    mean = statistics.geometric_mean(ratios.values())
    lines.append(["geometric mean", "", "", f"{mean:.1f}", 15])
    heads = ["method", "one at a time, episodes/s", "here, episodes/s", "ratio", "goal"]
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + tabulate(lines, heads, tablefmt="pipe", disable_numparse=True))  # noqa: T201


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", REFERENCES)
def test_ratio_to_one_episode_at_a_time(name):
    keep_freed_memory()  # as the loop does
    shape = FeatureShape(*SHAPES.get(name, FRAMES))
    method = built_in_methods()[name].build(shape, seed=0)
    sizes = Sizes(shape, 40, 5, 1, 5)
    features, episodes = sizes.feature_maps(0, sizes.videos), sizes.episodes(SAMPLE)
    support, query = (torch.from_numpy(i).long() for i in (episodes.support, episodes.query))
    videos = encode(method, features, CPU)
    plain = REFERENCES[name]

    def one_at_a_time(count=4):
        return torch.stack(
            [plain(method, features[support[e, :, 0]], features[query[e]]) for e in range(count)]
        )

    fast = score(method, videos, support[:4], query[:4])
    torch.testing.assert_close(fast, one_at_a_time(), rtol=1e-4, atol=1e-3)
    batch = cached(SAMPLE, videos, episodes, CPU)
    each = seconds(lambda: score(method, videos, support[:batch], query[:batch])) / batch
    encoding = seconds(lambda: encode(method, features, CPU), 3) / len(features)
    FOUND[name] = (4 / seconds(one_at_a_time, 3), 1 / (each + VIDEOS / EPISODES * encoding))
