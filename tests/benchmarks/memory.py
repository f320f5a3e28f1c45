"""Memory of a run over large maps: `python -m tests.benchmarks.memory --videos 2745`.

As many videos as UCF101's test split has, each with maps as `resnet50` makes them. They are random
and are written to a folder that is removed afterwards: 8.8 GB.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from bench.features.store import FeatureStore, StoredFeatures
from bench.machine.device import forget_peak_memory, peak_memory
from bench.method import FeatureShape
from bench.plugins.registry import all_methods
from bench.running.loop import evaluate
from episodes.banks.sampler import Episodes
from tests.synthetic import CPU, NOTHING

SHARD = 128


def written(folder: Path, shape: FeatureShape, videos: int) -> StoredFeatures:
    store = FeatureStore(folder, {"test": "memory"}, shape)
    generator = np.random.default_rng(0)
    keys = [f"{number}" for number in range(videos)]
    for first in range(0, videos, SHARD):
        names = keys[first : first + SHARD]
        store.write(names, generator.random((len(names), *shape), np.float32), 1.0)
    return StoredFeatures(store, [keys[place] for place in generator.permutation(videos)])


def drawn(videos: int, episodes: int) -> Episodes:
    """5-way 1-shot with one query of each class; which video is of which class does not matter."""
    generator = np.random.default_rng(1)
    support = generator.integers(0, videos, (episodes, 5, 1), np.int32)
    query = generator.integers(0, videos, (episodes, 5), np.int32)
    return Episodes(support, query, np.tile(np.arange(5, dtype=np.int16), (episodes, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="protonet,otam,bi-mhm")
    parser.add_argument("--videos", type=int, default=2745)
    parser.add_argument("--episodes", type=int, default=1000)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    shape = FeatureShape(2048, 8, 7, 7)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        features = written(Path(folder), shape, wanted.videos)
        for name in wanted.methods.split(","):
            method = all_methods([])[name].build(shape, 0)
            forget_peak_memory(CPU)
            episodes = drawn(wanted.videos, wanted.episodes)
            answers = evaluate(method, features, episodes, CPU, 64, NOTHING)
            lines.append([name, peak_memory(CPU) / 1e6, answers.encode_seconds])
    heads = ["method", "peak MB", "encoding, s"]
    print(f"maps of {wanted.videos} videos: {features.nbytes / 1e9:.1f} GB")  # noqa: T201
    print(tabulate(lines, heads, tablefmt="pipe", floatfmt=",.0f"))  # noqa: T201


if __name__ == "__main__":
    main()
