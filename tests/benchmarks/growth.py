"""What ten times the episodes on the same videos cost: `python -m tests.benchmarks.growth`.

Run in a process of its own, since memory that other work has freed would hide what this takes.
"""

import argparse
import json
import time

import torch

from bench.method import FeatureShape, Method
from bench.plugins.registry import built_in_methods
from bench.running.loop import evaluate
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features

SHAPE = (96, 8, 6, 6)  # of the default backbone
TIMES = 10


def measured(method: Method, features: torch.Tensor, count: int, repeats: int) -> dict[str, float]:
    """Evaluate so many episodes: the least processor time of some, and the peak of memory."""
    seconds, encoded = [], []
    encode = type(method).encode

    def counted(maps: torch.Tensor):
        encoded.append(len(maps))
        return encode(method, maps)

    method.encode = counted
    episodes = draw_episodes(count)
    for _ in range(repeats):
        start = time.process_time()
        answers = evaluate(method, features, episodes, CPU, 64, NOTHING)
        seconds.append(time.process_time() - start)
    return {
        "episodes": count,
        "videos_encoded": sum(encoded) // repeats,
        "cpu_seconds": min(seconds),
        "peak_memory_bytes": answers.peak_memory_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="otam")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    features = random_features(960, SHAPE)
    method = built_in_methods()[wanted.method].build(FeatureShape(*SHAPE), seed=0)
    few, many = (
        measured(method, features, count, wanted.repeats)
        for count in (wanted.episodes, TIMES * wanted.episodes)
    )
    print(json.dumps([few, many], indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
