"""What only a GPU can show; skipped where there is none."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from bench.features.backbones import load_backbone
from bench.features.filling import BATCH, Embedding
from bench.machine.device import Stopwatch, choose_device, forget_peak_memory, peak_memory
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.running import loop, pairs
from bench.running.loop import answer, encode, evaluate
from episodes.banks.sampler import Episodes
from tests.command import fresh, torchrun
from tests.synthetic import CPU, NOTHING, draw_episodes, embed, random_features, separable_features
from tests.training.test_meta_training import results, train_one, training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]


def few_videos(count: int, videos: int) -> Episodes:
    """Draw episodes over the first of the videos only, so that few of them repeat pairs."""
    drawn = draw_episodes(count)
    return replace(drawn, support=drawn.support % videos, query=drawn.query % videos)


def waits_of(work) -> int:
    """How often the host waits for the GPU, as torch itself says."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in said)


@pytest.mark.parametrize("name", ["protonet", "otam", "mastaf", "trx", "hyrsm"])
def test_a_gpu_gives_the_answers_of_the_cpu(name: str):
    features, episodes = separable_features(0.5), draw_episodes(200)
    method = built_in_methods()[name].build(FeatureShape(*features.shape[1:]), seed=0)
    on_cpu = evaluate(method, features, episodes, CPU, 64, NOTHING)
    on_gpu = evaluate(method, features, episodes, choose_device("cuda"), 64, NOTHING)
    assert (on_cpu.prediction == on_gpu.prediction).mean() > 0.995
    np.testing.assert_allclose(on_cpu.margin, on_gpu.margin, atol=1e-2)


@pytest.mark.parametrize("name", ["otam", "otam-fsl-video"])
def test_pairs_that_are_scored_once_give_the_answers_of_single_episodes(name, monkeypatch):
    features, episodes, device = random_features(150), few_videos(900, 150), choose_device("cuda")
    method = built_in_methods()[name].build(FeatureShape(*features.shape[1:]), seed=0)
    by_pair = evaluate(method, features, episodes, device, 64, NOTHING)
    assert pairs.repay(method, episodes, len(features))
    monkeypatch.setattr(pairs, "repay", lambda *_: False)
    by_episode = evaluate(method, features, episodes, device, 64, NOTHING)
    assert (by_pair.prediction == by_episode.prediction).mean() > 0.995
    np.testing.assert_allclose(by_pair.margin, by_episode.margin, atol=1e-3)


@pytest.mark.parametrize("name", ["otam", "mastaf", "trx", "hyrsm", "strm", "protonet"])
@pytest.mark.parametrize("videos", [960, 40], ids=["by episode", "by pair"])
def test_nothing_waits_for_the_gpu_inside_the_loop(name: str, videos: int):
    """Ten times the batches, and not one more wait: torch counts them."""
    device, features = choose_device("cuda"), random_features(videos)
    method = built_in_methods()[name].build(FeatureShape(*features.shape[1:]), seed=0).to(device)
    with torch.no_grad():
        represented = encode(method, features, device)
        waits = [
            waits_of(
                lambda n=n: answer(method, represented, few_videos(n, videos), device, 8, NOTHING)
            )
            for n in (80, 80, 800)  # the first time, kernels are chosen and loaded
        ]
    assert waits[1] == waits[2] <= 1


def test_a_wait_inside_the_loop_is_seen(monkeypatch: pytest.MonkeyPatch):
    """So the test above can fail: here every batch is fetched as soon as it is scored."""
    device, features = choose_device("cuda"), random_features(960)
    method = built_in_methods()["protonet"].build(FeatureShape(*features.shape[1:]), 0).to(device)
    taken = loop.best_two
    monkeypatch.setattr(loop, "best_two", lambda scores: taken(scores.cpu()))
    with torch.no_grad():
        represented = encode(method, features, device)
        episodes = few_videos(80, 960)
        waits = waits_of(lambda: answer(method, represented, episodes, device, 8, NOTHING))
    assert waits >= 10


@pytest.mark.parametrize("name", ["otam", "trx"])
def test_representations_that_stay_with_the_host_are_streamed(name: str, monkeypatch):
    features, episodes, device = random_features(), draw_episodes(200), choose_device("cuda")
    method = built_in_methods()[name].build(FeatureShape(*features.shape[1:]), seed=0)
    resident = evaluate(method, features, episodes, device, 64, NOTHING)
    monkeypatch.setattr(loop, "free_memory", lambda device: 0)
    streamed = evaluate(method, features, episodes, device, 64, NOTHING)
    np.testing.assert_array_equal(resident.prediction, streamed.prediction)
    np.testing.assert_allclose(resident.margin, streamed.margin, atol=1e-5)


@torch.no_grad()
def test_clips_are_embedded_without_waiting_and_as_on_the_cpu():
    clips = torch.rand(50, 3, 16, 48, 48, generator=torch.Generator().manual_seed(0))
    named = [(str(number), clip) for number, clip in enumerate(clips)]
    on_cpu = embed(load_backbone("motion", CPU).backbone, list(clips))
    device = choose_device("cuda")
    backbone = load_backbone("motion", device).backbone
    embed(backbone, list(clips), device)  # kernels are chosen, memory is pinned
    embedding = Embedding(backbone, device)

    def ask():
        for first in range(0, len(named), BATCH):
            embedding.add(named[first : first + BATCH])

    assert waits_of(ask) == 0
    features, seconds = embedding.result()
    np.testing.assert_allclose(features, on_cpu, atol=1e-3)
    assert seconds > 0


def test_time_on_a_gpu_is_that_of_the_work_and_not_of_asking_for_it():
    device = choose_device("cuda")
    matrix = torch.rand(4096, 4096, device=device)
    matrix @ matrix  # the first time, kernels are loaded
    with Stopwatch(device) as few:
        matrix @ matrix
    with Stopwatch(device) as many:
        for _ in range(50):
            matrix @ matrix
    assert many.seconds > 5 * few.seconds


def test_peak_memory_is_the_gpus():
    device = choose_device("cuda")
    forget_peak_memory(device)
    torch.zeros(2**26, device=device)
    assert peak_memory(device) >= 2**28


def test_float32_means_float32():
    choose_device("cuda")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(("name", "tuned"), [("mastaf", True), ("trx", True), ("strm", False)])
def test_a_training_on_a_gpu_gives_the_same_weights_again(
    name: str, tuned: bool, tmp_path: Path, small_recipe: Path
):
    device = choose_device("cuda")
    backbone = load_backbone("motion", device)
    planned = [
        replace(
            training(tmp_path / str(number), small_recipe, name, tuned=tuned),
            device=device,
            backbone=backbone,
        )
        for number in range(2)
    ]
    one, again = (results(train_one(plan)) for plan in planned)
    assert one == again


@pytest.mark.parametrize("frozen", [[], ["--freeze-backbone"]], ids=["tuned", "frozen"])
def test_a_training_by_a_job_over_nccl_is_that_of_a_process(
    frozen: list[str], small_recipe: Path, tmp_path: Path
):
    # One process is all that nccl takes on one GPU: it shows the way through it, not the sharing.
    recipe = tmp_path / "sgd.toml"
    recipe.write_text(small_recipe.read_text() + 'optimiser = "sgd"\nbatch_norm = "live"\n')
    words = ("train", "mastaf", "--device", "cuda", "--recipe", recipe, *frozen, "--out")
    fresh(*words, tmp_path / "alone")
    finished = torchrun(1, *words, tmp_path / "job")
    assert finished.returncode == 0, finished.stderr
    alone, job = (tmp_path / name / "mastaf" / "seed-0" for name in ("alone", "job"))
    curves = [pd.read_csv(one / "train.csv")[["nearest", "global"]] for one in (alone, job)]
    np.testing.assert_allclose(*curves, rtol=1e-3)
    weights = [safetensors.torch.load_file(one / "weights.safetensors") for one in (alone, job)]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)
