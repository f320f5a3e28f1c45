"""How fast video files become clips, one after another: `tox run -e speed`."""

from bench.features.clips import load_clip
from bench.method import Method
from episodes.banks.bank import open_bank
from methods.backbones.motion import MotionNet
from tests.benchmarks.test_speed import Benchmark
from tests.synthetic import NOTHING


def test_decode_32_rendered_videos(benchmark: Benchmark):
    bank = open_bank("default")
    step = 30 if benchmark.enabled else 480  # 2 videos where nothing is timed
    videos = [bank.split.videos[index] for index in range(0, 960, step)]
    files = bank.source.files("test", videos, NOTHING)
    benchmark.pedantic(
        lambda: [load_clip(file, MotionNet.input, Method.sampling) for file in files],
        rounds=7,
        warmup_rounds=1,
    )
