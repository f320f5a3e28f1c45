"""Cost of ten times the episodes on the same videos: `python -m tests.benchmarks.growth`.

With ``--realistic``, a table of five methods, or of those named: what scoring twice and four times
the episodes costs on a bank of 2,745 videos of 2048 channels, as `tests.benchmarks.realistic` has
it. Where time is linear in episodes, each further one costs the same, and the ratio is 1.

Every method runs in a process of its own, since memory that other work has freed would hide what
this takes. Times are of the processor, of one thread.
"""

import argparse
import json
import subprocess
import sys
import time

import torch
from tabulate import tabulate

from bench.method import FeatureShape, Method, apply
from bench.plugins.registry import built_in_methods
from bench.running.loop import evaluate
from bench.throughput.plan import Sizes
from episodes.banks.sampler import Episodes
from tests.benchmarks.realistic import FRAMES, SHAPES, VIDEOS
from tests.benchmarks.reference import REFERENCES
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features

SHAPE = (96, 8, 6, 6)  # of the default backbone
TIMES = (1, 10)
REALISTIC_TIMES = (1, 2, 4)


def measured(
    method: Method, features: torch.Tensor, episodes: Episodes, repeats: int, same: bool = False
) -> dict[str, float]:
    """Evaluate so many episodes: the least processor time of some, and the peak of memory.

    Where all videos are the same, only one of them is encoded: scoring is what counts then.
    """
    seconds, scoring, encoded, encoding = [], [], [], []
    encode = type(method).encode

    def counted(maps: torch.Tensor):
        start = time.process_time()
        found = encode(method, maps[:1] if same else maps)
        if same:
            found = apply(found, lambda tensor: torch.cat([tensor] * len(maps)))
        encoding.append(time.process_time() - start)
        encoded.append(len(maps))
        return found

    method.encode = counted
    for _ in range(repeats):
        encoding.clear()
        start = time.process_time()
        answers = evaluate(method, features, episodes, CPU, 64, NOTHING)
        seconds.append(time.process_time() - start)
        scoring.append(seconds[-1] - sum(encoding))
    return {
        "episodes": len(episodes.query),
        "videos_encoded": sum(encoded) // repeats,
        "cpu_seconds": min(seconds),
        "scoring_cpu_seconds": min(scoring),
        "peak_memory_bytes": answers.peak_memory_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="otam")
    parser.add_argument("--methods", default=",".join(REFERENCES), help="with --realistic")
    parser.add_argument("--episodes", type=int, help="10,000, or 1,000 with --realistic")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--realistic", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    if wanted.realistic:
        words = ["--episodes", str(wanted.episodes or 1000), "--repeats", str(wanted.repeats)]
        print(table({name: apart(name, words) for name in wanted.methods.split(",")}))  # noqa: T201
        return
    shape, videos, times, draw = FeatureShape(*SHAPE), 960, TIMES, draw_episodes
    if wanted.one:
        shape = SHAPES.get(wanted.one, FRAMES)
        videos, times, draw = VIDEOS, REALISTIC_TIMES, Sizes(shape, VIDEOS, 5, 1, 5).episodes
        features = random_features(1, shape).expand(videos, *shape)  # 9 GB of maps otherwise
    else:
        features = random_features(videos, shape)
    method = built_in_methods()[wanted.one or wanted.method].build(shape, seed=0)
    drawn = (draw(count * (wanted.episodes or 10_000)) for count in times)
    same = wanted.one is not None
    found = [measured(method, features, episodes, wanted.repeats, same) for episodes in drawn]
    print(json.dumps(found, indent=2))  # noqa: T201


def apart(name: str, words: list[str]) -> list[dict[str, float]]:
    """Measure one method in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.growth", "--one", name, *words]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said)


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Seconds of scoring by the number of episodes, and what each further episode costs."""
    lines = []
    for name, counts in found.items():
        (n1, t1), (n2, t2), (n4, t4) = ((c["episodes"], c["scoring_cpu_seconds"]) for c in counts)
        early, late = (t2 - t1) / (n2 - n1), (t4 - t2) / (n4 - n2)
        memory = counts[-1]["peak_memory_bytes"] / counts[0]["peak_memory_bytes"]
        lines.append([name, *(f"{t:.2f}" for t in (t1, t2, t4)), f"{1e3 * early:.2f}"])
        lines[-1] += [f"{1e3 * late:.2f}", f"{late / early:.2f}", f"{memory:.2f}"]
    heads = [f"{c['episodes']:,}" for c in next(iter(found.values()))]
    heads = ["scoring, s", *heads, "ms for each more", "later", "ratio", "memory, last to first"]
    return tabulate(lines, heads, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    main()
