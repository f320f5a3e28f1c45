"""How fast methods are on a bank as real ones are: `python -m tests.benchmarks.realistic`.

2,745 videos, as many as UCF101's test split has, and 10,000 5-way 1-shot episodes of 5 queries, so
that two videos hardly ever meet twice; random features of 2048 channels. Beside each method stands
its reference, which does all the work of one episode, then of the next, from features on, as
authors' code does. Times are of the processor, of one thread: they do not depend on what else the
machine does. Each method runs in a process of its own, for its peak of memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from bench.machine.device import keep_freed_memory
from bench.method import FeatureShape, Representation, apply
from bench.plugins.registry import built_in_methods, choose
from bench.running.scoring import score, tensors
from bench.throughput.plan import TOTAL_EPISODES, Sizes
from bench.throughput.stages import Workload
from tests.benchmarks.reference import REFERENCES
from tests.synthetic import CPU

VIDEOS = 2745
FRAMES = FeatureShape(2048, 8, 1, 1)
SHAPES = {"mastaf": FeatureShape(2048, 1, 7, 7), "strm": FeatureShape(2048, 8, 7, 7)}
GOAL, LEAST = 15, 4
"""How many times the references' speed: in the geometric mean, and of every method."""
BATCHES, ENCODED, ALONE = 6, 64, 4
"""Batches of episodes, videos and single episodes in one timing."""
SIDE, COPIED = 2048, 64 << 20
"""Of the matrices, and numbers in the copy, whose speeds are the machine's peaks."""


class Repeating(Workload):
    """Videos after the first chunk are copies of it: each costs as much as any other."""

    def _encode_all(self) -> Representation:
        chunks = -(-self.sizes.videos // len(self.chunk))

        def repeated(tensor: torch.Tensor) -> torch.Tensor:
            return torch.cat([tensor] * chunks)[: self.sizes.videos]

        return apply(self._encoded(0), repeated)


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median of the processor's time, after a warm-up."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


@torch.no_grad()
def measured(name: str, rounds: int, plain: bool) -> dict[str, object]:
    """Measure one method beside its reference, and check that they agree."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the loop does
    (entry,) = choose(name, built_in_methods(), plain)
    sizes = Sizes(SHAPES.get(name, FRAMES), VIDEOS, 5, 1, 5)
    workload = Repeating(entry, sizes, CPU, 64)
    each_video = seconds(lambda: workload.encode(ENCODED), rounds) / ENCODED
    each_episode = seconds(lambda: workload.answer(BATCHES), rounds) / (
        BATCHES * workload.batch_size
    )
    total = each_episode + each_video * VIDEOS / TOTAL_EPISODES
    with FlopCounterMode(display=False) as counter:
        workload.answer(1)
    flop = counter.get_total_flops() / workload.batch_size
    with FlopCounterMode(display=False) as counter:
        workload.encode(ENCODED)
    flop += counter.get_total_flops() / ENCODED * VIDEOS / TOTAL_EPISODES
    represented = sum(tensor[:1].nbytes for tensor in tensors(workload.videos))
    # Each episode copies its videos; each video is read and its representation written once.
    moved = 2 * represented * (sizes.way + sizes.queries)
    moved += (workload.chunk[:1].nbytes + represented) * VIDEOS / TOTAL_EPISODES
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    alone = _one_at_a_time(name, workload, rounds)
    left, right = torch.rand(2, SIDE, SIDE).unbind()
    source = torch.rand(COPIED)
    target = torch.empty_like(source)
    product_peak = 2 * SIDE**3 / seconds(lambda: left @ right, rounds)
    copy_peak = 2 * source.nbytes / seconds(lambda: target.copy_(source), rounds)
    return {
        "method": name,
        "form": entry.form,
        "alone": alone,
        "here": 1 / total,
        "scoring": 1 / each_episode,
        "of_product_peak": flop / total / product_peak,
        "of_copy_peak": moved / total / copy_peak,
        "memory": memory,
        "peaks": [product_peak, copy_peak],
    }


def _one_at_a_time(name: str, workload: Workload, rounds: int) -> float:
    """Episodes/s of the reference, whose scores have to be those of the method."""
    drawn = torch.arange(10 * ALONE).reshape(ALONE, 10) % len(workload.chunk)
    support, query = drawn[:, :5], drawn[:, 5:]

    def answers() -> torch.Tensor:
        reference = REFERENCES[name]
        return torch.stack(
            [
                reference(workload.method, workload.chunk[shown], workload.chunk[asked])
                for shown, asked in zip(support, query, strict=True)
            ]
        )

    here = score(workload.method, workload.videos, support.unsqueeze(2), query)
    torch.testing.assert_close(here, answers(), rtol=1e-4, atol=1e-3)
    return ALONE / seconds(answers, max(3, rounds // 2))


def apart(names: Sequence[str], words: Sequence[str]) -> Iterator[dict[str, object]]:
    """Measure each method in a process of its own."""
    for name in names:
        command = [sys.executable, "-m", "tests.benchmarks.realistic", "--one", name, *words]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        yield json.loads(said)


def line(found: dict[str, object]) -> list[str]:
    """A line of the table."""
    ratio = found["here"] / found["alone"]
    shares = found["of_product_peak"], found["of_copy_peak"]
    binds = "products" if shares[0] > shares[1] else "copies"
    return [
        *(found["method"], found["form"], f"{found['alone']:,.1f}", f"{found['here']:,.0f}"),
        *(f"{ratio:.1f}", str(LEAST), *(f"{share:.0%}" for share in shares), binds),
        f"{found['memory'] / 1e9:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=",".join(REFERENCES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.one:
        print(json.dumps(measured(wanted.one, wanted.rounds, wanted.plain)))  # noqa: T201
        return
    words = ["--rounds", str(wanted.rounds)] + ["--plain"] * wanted.plain
    found = list(apart(wanted.methods.split(","), words))
    mean = statistics.geometric_mean(one["here"] / one["alone"] for one in found)
    lines = [line(one) for one in found]
    lines.append(["geometric mean", "", "", "", f"{mean:.1f}", str(GOAL), "", "", "", ""])
    heads = ["method", "form", "one at a time, episodes/s", "here, episodes/s", "ratio", "goal"]
    heads += ["of the product peak", "of the copy peak", "what binds", "peak GB"]
    print(tabulate(lines, heads, tablefmt="pipe", disable_numparse=True))  # noqa: T201
    peaks = [statistics.median(one["peaks"][place] for one in found) for place in (0, 1)]
    print(f"peaks: {peaks[0] / 1e9:.0f} GFLOP/s, {peaks[1] / 1e9:.1f} GB/s")  # noqa: T201


if __name__ == "__main__":
    main()
