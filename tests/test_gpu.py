"""What only a GPU can show; skipped where there is none."""

from dataclasses import replace


from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from bench.backbones import load_backbone
from bench.device import Stopwatch, choose_device, forget_peak_memory, peak_memory
from bench.loop import evaluate
from bench.method import FeatureShape
from bench.registry import built_in_methods
from tests.command import done, torchrun
from tests.synthetic import CPU, NOTHING, draw_episodes, separable_features
from tests.training.test_meta_training import results, train_one, training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]


@pytest.mark.parametrize("name", ["protonet", "otam", "mastaf", "trx", "hyrsm"])
def test_a_gpu_gives_the_answers_of_the_cpu(name: str):
    features, episodes = separable_features(0.5), draw_episodes(200)
    method = built_in_methods()[name].build(FeatureShape(*features.shape[1:]), seed=0)
    on_cpu = evaluate(method, features, episodes, CPU, 64, NOTHING)
    on_gpu = evaluate(method, features, episodes, choose_device("cuda"), 64, NOTHING)
    assert (on_cpu.prediction == on_gpu.prediction).mean() > 0.995
    np.testing.assert_allclose(on_cpu.margin, on_gpu.margin, atol=1e-2)


def test_time_on_a_gpu_is_that_of_the_work_and_not_of_asking_for_it():
    device = choose_device("cuda")
    matrix = torch.rand(4096, 4096, device=device)
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
    done(*words, tmp_path / "alone")
    finished = torchrun(1, *words, tmp_path / "job")
    assert finished.returncode == 0, finished.stderr
    alone, job = (tmp_path / name / "mastaf" / "seed-0" for name in ("alone", "job"))
    curves = [pd.read_csv(one / "train.csv")[["nearest", "global"]] for one in (alone, job)]
    np.testing.assert_allclose(*curves, rtol=1e-3)
    weights = [safetensors.torch.load_file(one / "weights.safetensors") for one in (alone, job)]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)
