"""How near scoring comes to a product of matrices, and what bfloat16 gains.

`python -m tests.benchmarks.products`: one thread, time of the processor, the peak measured beside
each method. Where pairs of videos are scored once, 480 videos have 23 pairs for each of 10,000
episodes.
"""

import argparse

import torch
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from bench import pairs
from bench.device import keep_freed_memory
from bench.loop import cached, encode
from bench.method import FeatureShape
from bench.registry import built_in_methods
from bench.scoring import score
from bench.throughput.plan import Sizes
from tests.benchmarks.test_ratios import EPISODES, FRAMES, SEEN, SHAPES, VIDEOS, seconds
from tests.synthetic import CPU

KINDS = (torch.float32, torch.bfloat16)
SIDE = 2048


def scoring(method, videos, sizes):
    """Some scoring, and how many episodes it is worth."""
    if method.compares != "episodes":
        strip = slice(pairs.SIDE["cpu"])
        share = strip.stop * SEEN / VIDEOS**2
        return (lambda: pairs.strip_scores(method, videos, strip, CPU)), share * EPISODES
    episodes = sizes.episodes(64)
    count = cached(64, videos, episodes, CPU)
    support, query = (
        torch.from_numpy(index[:count]).long() for index in (episodes.support, episodes.query)
    )
    return (lambda: score(method, videos, support, query)), count


@torch.no_grad()
def measured(name, kind, rounds):
    """Episodes/s of scoring, share of the peak, episodes/s with encoding, and the peak."""
    sizes = Sizes(FeatureShape(*SHAPES.get(name, FRAMES)), SEEN, 5, 1, 5)
    method = built_in_methods()[name].build(sizes.features, seed=0).to(kind)
    features = sizes.feature_maps(0, SEEN)
    videos = encode(method, features, CPU, kind)
    work, episodes = scoring(method, videos, sizes)
    left, right = torch.rand(2, SIDE, SIDE).to(kind).unbind()
    with FlopCounterMode(display=False) as counter:
        work()
    each = seconds(work, rounds) / episodes
    peak = 2 * SIDE**3 / seconds(lambda: left @ right, rounds)
    encoding = seconds(lambda: encode(method, features, CPU, kind), 3) / SEEN
    total = each + encoding * VIDEOS / EPISODES
    return 1 / each, counter.get_total_flops() / episodes / each / peak, 1 / total, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="otam,mastaf,trx,hyrsm,strm")
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    lines = []
    for name in wanted.methods.split(","):
        exact, rough = (measured(name, kind, wanted.rounds) for kind in KINDS)
        peaks = f"{exact[3] / 1e9:.0f}, {rough[3] / 1e9:.0f}"
        figures = [f"{exact[0]:,.0f}", f"{exact[1]:.0%}", f"{rough[0]:,.0f}", f"{rough[1]:.0%}"]
        lines.append(
            [name, *figures, f"{rough[0] / exact[0]:.2f}", f"{rough[2] / exact[2]:.2f}", peaks]
        )
    heads = ["method", "float32, episodes/s", "of peak", "bfloat16, episodes/s", "of peak"]
    heads += ["times faster", "with encoding", "peaks, GFLOP/s"]
    print(tabulate(lines, heads, tablefmt="pipe", disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    main()
