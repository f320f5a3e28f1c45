"""How much faster methods are than one episode at a time: `tox run -e speed` prints the table.

Times are of the processor, of one thread: they do not depend on what else the machine does.
"""

import statistics
import time
from dataclasses import replace

import pytest
import torch
from tabulate import tabulate

from bench import pairs
from bench.device import keep_freed_memory
from bench.loop import cached, encode
from bench.method import FeatureShape
from bench.registry import built_in_methods
from bench.scoring import score
from bench.throughput.plan import Sizes
from tests.benchmarks.reference import REFERENCES
from tests.synthetic import CPU, NOTHING

GOALS = {"mastaf": 4, "otam": 20, "trx": 25, "hyrsm": 6, "strm": 100}
SHAPES = {"mastaf": (2048, 1, 7, 7), "strm": (2048, 8, 7, 7)}
FRAMES = (2048, 8, 1, 1)
VIDEOS, EPISODES, SAMPLE, ROUNDS = 480, 10_000, 64, 9
SEEN = 96
"""Videos that are really encoded and compared: each costs as much as any other."""
FOUND: dict[str, tuple[float, float]] = {}
"""Method -> episodes/s of the reference, and of the method with encoding counted."""


def seconds(work, rounds=ROUNDS):
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


@pytest.fixture(scope="module", autouse=True)
def table(pytestconfig):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
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
    sizes = Sizes(shape, SEEN, 5, 1, 5)
    features, episodes = sizes.feature_maps(0, sizes.videos), sizes.episodes(SAMPLE)
    support, query = (torch.from_numpy(i).long() for i in (episodes.support, episodes.query))
    videos = encode(method, features, CPU)
    plain = REFERENCES[name]
    all_episodes = replace(sizes, videos=VIDEOS).episodes(EPISODES)
    by_pair = pairs.repay(method, all_episodes, VIDEOS)
    table = pairs.pair_scores(method, videos, CPU, NOTHING) if by_pair else None

    def one_at_a_time(count=4):
        return torch.stack(
            [plain(method, features[support[e, :, 0]], features[query[e]]) for e in range(count)]
        )

    def here(count):
        if by_pair:
            return pairs.look_up(table, support[:count], query[:count])
        return score(method, videos, support[:count], query[:count])

    torch.testing.assert_close(here(4), one_at_a_time(), rtol=1e-4, atol=1e-3)
    batch = SAMPLE if by_pair else cached(SAMPLE, videos, episodes, CPU)
    each = seconds(lambda: here(batch)) / batch
    if by_pair:
        strip = slice(pairs.SIDE["cpu"])
        of_pairs = seconds(lambda: pairs.strip_scores(method, videos, strip, CPU))
        each += of_pairs / (SEEN * strip.stop) * VIDEOS**2 / EPISODES
    encoding = seconds(lambda: encode(method, features, CPU), 3) / len(features)
    FOUND[name] = (4 / seconds(one_at_a_time, 3), 1 / (each + VIDEOS / EPISODES * encoding))
