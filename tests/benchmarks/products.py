"""How near scoring comes to a product of matrices, and what bfloat16 gains.

`python -m tests.benchmarks.products`: one thread, time of the processor, the peak measured beside
each method. Where pairs of videos are scored once, 480 videos have 23 pairs for each of 10,000
episodes, or 13 where either video may be the query. "Of the peak" is by the operations that are
done; "plain form" by those of `PLAIN`, which are what a method takes that has only done once what
belongs to a single video.
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
PAIRS, TOKENS = 25, 30
PLAIN = {
    # The matrix of relations of 49 and 49 positions.
    "mastaf": PAIRS * 2 * 49**2 * 2048,
    # Logits and mixtures of 28 pairs and of 56 triples of frames.
    "trx": PAIRS * 2 * 2 * (28**2 + 56**2) * 1152,
    # Query, key, value, output and the token's half of the 1 x 1 convolution.
    "hyrsm": TOKENS * 2 * 5 * 2048**2,
}
"""Operations of an episode, 5 queries of 5 classes, worked out by itself in the plain way."""


def scoring(method, videos, sizes):
    """Some scoring, and how many episodes it is worth."""
    if method.compares != "episodes":
        strip = pairs.strips(method, SEEN, CPU)[0]
        share = strip.support.stop * SEEN / pairs.worked_out(method, VIDEOS, CPU)
        return (lambda: pairs.strip_scores(method, videos, strip, CPU)), share * EPISODES
    episodes = sizes.episodes(64)
    count = cached(64, videos, episodes, CPU)
    support, query = (
        torch.from_numpy(index[:count]).long() for index in (episodes.support, episodes.query)
    )
    return (lambda: score(method, videos, support, query)), count


@torch.no_grad()
def measured(name, kind, rounds):
    """Episodes/s of scoring, two shares of the peak, episodes/s with encoding, and the peak."""
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
    done, plain = counter.get_total_flops() / episodes, PLAIN.get(name, 0)
    return [1 / each, *(count / each / peak for count in (done, plain)), 1 / total, peak]


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
        peaks = f"{exact[4] / 1e9:.0f}, {rough[4] / 1e9:.0f}"
        plain = f"{exact[2]:.0%}" if exact[2] else ""
        figures = [f"{exact[0]:,.0f}", f"{exact[1]:.0%}", plain]
        figures += [f"{rough[0]:,.0f}", f"{rough[1]:.0%}"]
        lines.append(
            [name, *figures, f"{rough[0] / exact[0]:.2f}", f"{rough[3] / exact[3]:.2f}", peaks]
        )
    lines.append(["goal", "", "50%", "", "", "", "", "2.50", ""])
    heads = ["method", "float32, episodes/s", "of the peak", "plain form"]
    heads += ["bfloat16, episodes/s", "of the peak", "times faster", "with encoding"]
    heads += ["peaks, GFLOP/s"]
    print(tabulate(lines, heads, tablefmt="pipe", disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    main()
