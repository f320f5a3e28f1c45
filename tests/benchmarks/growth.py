"""Cost of ten times the episodes on the same videos: `python -m tests.benchmarks.growth`.

With ``--realistic``, of twice and four times the episodes on a bank of 2,745 videos of 2048
channels and 8 frames, five queries each.

Run in a process of its own, since memory that other work has freed would hide what this takes.
"""

import argparse
import json
import time

import torch

from bench.method import FeatureShape, Method
from bench.plugins.registry import built_in_methods
from bench.running.loop import evaluate
from bench.throughput.plan import Sizes
from episodes.banks.sampler import Episodes
from tests.synthetic import CPU, NOTHING, draw_episodes, random_features

SHAPE = (96, 8, 6, 6)  # of the default backbone
TIMES = (1, 10)
REALISTIC = Sizes(FeatureShape(2048, 8, 1, 1), 2745, 5, 1, 5)
REALISTIC_TIMES = (1, 2, 4)


def measured(
    method: Method, features: torch.Tensor, episodes: Episodes, repeats: int
) -> dict[str, float]:
    """Evaluate so many episodes: the least processor time of some, and the peak of memory."""
    seconds, encoded = [], []
    encode = type(method).encode

    def counted(maps: torch.Tensor):
        encoded.append(len(maps))
        return encode(method, maps)

    method.encode = counted
    for _ in range(repeats):
        start = time.process_time()
        answers = evaluate(method, features, episodes, CPU, 64, NOTHING)
        seconds.append(time.process_time() - start)
    return {
        "episodes": len(episodes.query),
        "videos_encoded": sum(encoded) // repeats,
        "cpu_seconds": min(seconds),
        "peak_memory_bytes": answers.peak_memory_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="otam")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--realistic", action="store_true")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    shape, videos, times, draw = FeatureShape(*SHAPE), 960, TIMES, draw_episodes
    if wanted.realistic:
        shape, videos, times = REALISTIC.features, REALISTIC.videos, REALISTIC_TIMES
        draw = REALISTIC.episodes
    features = random_features(videos, shape)
    method = built_in_methods()[wanted.method].build(shape, seed=0)
    drawn = (draw(count * wanted.episodes) for count in times)
    found = [measured(method, features, episodes, wanted.repeats) for episodes in drawn]
    print(json.dumps(found, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
