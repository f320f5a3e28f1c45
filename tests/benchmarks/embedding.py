"""Decoding while embedding, beside embedding alone: `python -m tests.benchmarks.embedding`.

The backbone computes in one thread of torch; decoding has the other cores. Weights are random: they
do not change speed.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tabulate import tabulate

from bench.features.backbones import LoadedBackbone, backbones
from bench.features.clips import load_clips, videos_ahead
from bench.features.embedding import Target, embed_missing
from bench.features.store import FeatureStore
from bench.machine.device import choose_device, forget_peak_memory, peak_memory
from bench.method import FeatureShape, Method
from episodes.banks.bank import open_bank
from tests.synthetic import NOTHING, embed


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_alone(backbone, files, device) -> float:
    """Embed clips that were decoded before."""
    clips = [clip for _, clip in load_clips(files, backbone.input, Method.sampling)]
    return seconds(lambda: embed(backbone, clips, device))


def rates(backbone, files, device) -> tuple[float, float, int]:
    """Clips/s of decoded clips, clips/s from files on, and the peak memory of the second."""
    alone = seconds_alone(backbone, files, device)
    shape = FeatureShape(backbone.channels, *backbone.grid)
    forget_peak_memory(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder), {"test": "speed"}, shape)
        loaded = LoadedBackbone(backbone, "random")
        targets = [Target(store, loaded, Method.sampling)]
        both = seconds(lambda: embed_missing(targets, files, device, NOTHING))
    return len(files) / alone, len(files) / both, peak_memory(torch.device("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--videos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    device = choose_device(wanted.device)
    backbone = backbones()[wanted.backbone]().eval().to(device)
    bank = open_bank("default")
    videos = bank.split.videos[: wanted.videos]
    files = bank.source.files("test", videos, NOTHING)
    rates(backbone, files[:16], device)
    rounds = [rates(backbone, files, device) for _ in range(wanted.rounds)]
    alone, both, memory = (statistics.median(column) for column in zip(*rounds, strict=True))
    share = statistics.median(both / alone for alone, both, _ in rounds)
    ahead = videos_ahead(backbone.input, Method.sampling)
    line = [wanted.backbone, alone, both, 100 * share, 90, ahead, memory / 1e6]
    heads = ["backbone", "decoded clips/s", "from files, clips/s", "%", "goal %", "clips ahead"]
    heads += ["peak MB"]
    print(tabulate([line], heads, tablefmt="pipe", floatfmt=".1f"))  # noqa: T201


if __name__ == "__main__":
    main()
