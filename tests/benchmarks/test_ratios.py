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
KINDS = (torch.float32, torch.bfloat16)
HEADS = ["method", "one at a time, episodes/s", "here, episodes/s", "ratio", "goal"]
HEADS += ["in bfloat16, episodes/s", "ratio", "goal"]
FOUND: dict[str, tuple[float, float, float]] = {}
"""Method -> episodes/s of the reference, and of the method in both kinds, encoding counted."""


def seconds(work, rounds=ROUNDS):
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


class Here:
    """A method scoring as the loop does, in one kind of numbers."""

    def __init__(self, name, sizes, features, episodes, kind):
        self.method = built_in_methods()[name].build(sizes.features, seed=0).to(kind)
        self.features, self.episodes, self.kind = features, episodes, kind
        self.videos = encode(self.method, features, CPU, kind)
        all_episodes = replace(sizes, videos=VIDEOS).episodes(EPISODES)
        self.by_pair = pairs.repay(self.method, all_episodes, VIDEOS, CPU)
        if self.by_pair:
            self.table = pairs.pair_scores(self.method, self.videos, CPU, NOTHING)

    def answers(self, count):
        support, query = indices(self.episodes, count)
        if self.by_pair:
            return pairs.look_up(self.table, support, query)
        return score(self.method, self.videos, support, query)

    def episodes_per_second(self):
        """Encoding counted, of all episodes over all videos."""
        batch = SAMPLE if self.by_pair else cached(SAMPLE, self.videos, self.episodes, CPU)
        each = seconds(lambda: self.answers(batch)) / batch
        if self.by_pair:
            strip = pairs.strips(self.method, SEEN, CPU)[0]
            of_strip = seconds(lambda: pairs.strip_scores(self.method, self.videos, strip, CPU))
            of_pair = of_strip / (SEEN * strip.support.stop)
            each += of_pair * pairs.worked_out(self.method, VIDEOS, CPU) / EPISODES
        encoding = seconds(lambda: encode(self.method, self.features, CPU, self.kind), 3) / SEEN
        return 1 / (each + VIDEOS / EPISODES * encoding)


def indices(episodes, count):
    return (torch.from_numpy(i[:count]).long() for i in (episodes.support, episodes.query))


@pytest.fixture(scope="module", autouse=True)
def table(pytestconfig):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    if not FOUND:
        return
    lines = [
        [name, f"{slow:.1f}", *line(exact, slow, GOALS[name]), *line(rough, slow, GOALS[name], 2.5)]
        for name, (slow, exact, rough) in FOUND.items()
    ]
    means = [
        statistics.geometric_mean(found[kind] / found[0] for found in FOUND.values())
        for kind in (1, 2)
    ]
    lines.append(["geometric mean", "", "", f"{means[0]:.1f}", 15, "", f"{means[1]:.1f}", 37.5])
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + tabulate(lines, HEADS, tablefmt="pipe", disable_numparse=True))  # noqa: T201


def line(fast, slow, goal, times=1.0):
    """Episodes/s, how many times those of the reference, and how many there should be."""
    return f"{fast:,.0f}", f"{fast / slow:.1f}", f"{goal * times:g}"


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", REFERENCES)
def test_ratio_to_one_episode_at_a_time(name):
    keep_freed_memory()  # as the loop does
    sizes = Sizes(FeatureShape(*SHAPES.get(name, FRAMES)), SEEN, 5, 1, 5)
    features, episodes = sizes.feature_maps(0, sizes.videos), sizes.episodes(SAMPLE)
    exact, rough = (Here(name, sizes, features, episodes, kind) for kind in KINDS)
    plain = REFERENCES[name]

    def one_at_a_time(count=4):
        drawn = zip(*indices(episodes, count), strict=True)
        return torch.stack([plain(exact.method, features[s[:, 0]], features[q]) for s, q in drawn])

    torch.testing.assert_close(exact.answers(4), one_at_a_time(), rtol=1e-4, atol=1e-3)
    slow = 4 / seconds(one_at_a_time, 3)
    FOUND[name] = slow, exact.episodes_per_second(), rough.episodes_per_second()
