"""Training by several processes: the weights of one process, and what happens when one dies."""

import gc
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn

from bench.backbone import Backbone
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.embedding import embedded_together
from bench.machine import distributed
from bench.running.checkpoints import tuned_backbone
from bench.training import meta
from bench.training.sharing import RunningStatistics, Sharing
from bench.weights.cards import CARD, WEIGHTS
from episodes.errors import UserError
from tests.command import job, refused, succeeds
from tests.training.test_meta_training import train_one, training

# Plain gradient descent: Adam makes steps of full length of gradients that are rounding alone.
# MASTAF takes four passes with live batch norm in backbone and method, which three processes share
# unequally; STRM, which drops out, one pass whose ten videos are shared, by three unequally.
RECIPE = """
base = "default"

[default]
optimiser = "sgd"
learning_rate = 0.01
backbone_learning_rate = 0.01
steps = 2
episodes_per_step = 4
episodes_at_once = 1
batch_norm = "live"
warm_up_steps = 0
validate_every = 2
validation_episodes = 2

[method.strm]
episodes_per_step = 1
batch_norm = "frozen"
"""
TOLERANCE = 2e-6
"""Largest difference of a weight, relative where weights are above 1."""
DIES = """
import os
from torch import nn
from bench.method import register
from tests.synthetic import MeanVectors

CALLS = []

@register
class Dies(MeanVectors):
    name = "dies"

    def __init__(self, shape, settings=None):
        super().__init__(shape, settings)
        self.project = nn.Linear(shape.channels, 8)
        self.unused = nn.Linear(3, 3)

    def encode(self, features):
        return self.project(super().encode(features))

    def score(self, state, query):
        if self.training:
            CALLS.append(1)
        # In the fourth step: the gradients of the third were averaged once the second was saved.
        if os.environ.get("DIE") == os.environ.get("RANK", "") and len(CALLS) == 4:
            os._exit(3)
        return query @ state.mT
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "shared.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    """Trainings by one process."""
    out = tmp_path_factory.mktemp("alone")
    for name in ("mastaf", "strm"):
        train_one(training(out, recipe, name, tuned=True))
    return out


def check_same_training(one: Path, other: Path) -> None:
    """Compare weights and curves of two trainings, up to rounding."""
    weights, others = (safetensors.torch.load_file(folder / WEIGHTS) for folder in (one, other))
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(
            others[name],
            tensor,
            rtol=TOLERANCE,
            atol=TOLERANCE,
            msg=lambda text, at=name: at + text,
        )
    curve, other_curve = (pd.read_csv(folder / "train.csv") for folder in (one, other))
    assert list(curve) == list(other_curve)
    np.testing.assert_allclose(curve, other_curve, rtol=2e-5)


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_any_number_of_processes_trains_the_same_weights(
    processes: int, alone: Path, recipe: Path, tmp_path: Path
):
    finished = job(processes, "train", "mastaf", "strm", "--recipe", recipe, "--out", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("wrote") == 2  # by the first process alone
    for name in ("mastaf", "strm"):
        folder = tmp_path / name / "seed-0"
        assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, "train.csv"}
        check_same_training(alone / name / "seed-0", folder)
        card = json.loads((folder / CARD).read_text())
        assert card["made_by"]["processes"] == processes
        assert (
            card["identity"] == json.loads((alone / name / "seed-0" / CARD).read_text())["identity"]
        )


@pytest.mark.parametrize(("most", "expected"), [(8, [2]), (1, [1, 1])])
def test_so_many_backbones_are_on_the_device_at_once(
    most: int, expected: list[int], alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """MASTAF and STRM were trained with a backbone of their own each."""
    at_once: list[int] = []
    made: list[weakref.ref[Backbone]] = []

    def noted(*words) -> LoadedBackbone:
        loaded = tuned_backbone(*words)
        made.append(weakref.ref(loaded.backbone))
        return loaded

    def counted(*words):
        gc.collect()
        at_once.append(sum(one() is not None for one in made))
        return embedded_together(*words)

    monkeypatch.setattr("bench.running.plan.tuned_backbone", noted)
    monkeypatch.setattr("bench.running.execute.TOGETHER", most)
    monkeypatch.setattr("bench.running.execute.embedded_together", counted)
    succeeds(
        *("run", "--methods", "mastaf,strm", "--weights", alone, "--episodes", "2"),
        *("--out", tmp_path),
    )
    assert at_once == expected


@pytest.mark.usefixtures("plugins_forgotten")
def test_a_process_that_dies_stops_the_job_and_the_same_command_goes_on(tmp_path: Path):
    plugin = tmp_path / "dies.py"
    plugin.write_text(DIES)
    own = tmp_path / "dies.toml"
    own.write_text(f"{RECIPE}\n[method.dies]\nsteps = 4\nepisodes_per_step = 3\n")
    words = ("train", "strm", "dies", "--plugin", plugin, "--freeze-backbone", "--recipe", own)
    out = tmp_path / "out"
    stopped = job(2, *words, "--out", out, DIE="1")
    assert stopped.returncode == 3, stopped.stderr
    assert json.loads((out / "dies" / "seed-0" / "state.json").read_text())["step"] == 2
    shutil.copytree(out, tmp_path / "by-one")
    before = (out / "strm" / "seed-0" / CARD).stat().st_mtime_ns
    again = job(2, *words, "--out", out)
    assert again.returncode == 0, again.stderr
    assert (out / "strm" / "seed-0" / CARD).stat().st_mtime_ns == before
    for name in ("by-one", "alone"):
        succeeds(*words, "--out", tmp_path / name)
    check_same_training(out / "dies" / "seed-0", tmp_path / "by-one" / "dies" / "seed-0")
    for name in ("strm", "dies"):
        check_same_training(tmp_path / "alone" / name / "seed-0", out / name / "seed-0")


def test_running_statistics_are_those_of_passes_one_after_another():
    torch.manual_seed(0)
    passes = [torch.randn(8, 3) + number for number in range(3)]
    one, other = (nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=1.0)) for _ in "ab")
    for clips in passes:
        one(one(clips))
    statistics = RunningStatistics(other)
    for clips in passes:
        with statistics.of_pass():
            other(other(clips))
    assert int(other[0].num_batches_tracked) == 0
    statistics.settle(3)
    torch.testing.assert_close(other.state_dict(), one.state_dict())


def test_every_pass_draws_by_its_step_and_number(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # So that a process draws for its passes what one process would have drawn. The first pass has
    # the step's own seed, of which the weights are made that are shipped.
    seeds, forward = [], meta.Learner.forward

    def noting(self: meta.Learner, *words: Any) -> dict[str, torch.Tensor]:
        seeds.append(torch.initial_seed())
        return forward(self, *words)

    monkeypatch.setattr(meta.Learner, "forward", noting)
    planned = training(tmp_path, recipe)
    train_one(planned)
    words = [
        ("step", step, *([number] if number else [])) for step in (0, 1) for number in range(4)
    ]
    assert seeds == [planned.draws(*one) for one in words]
    assert len(set(seeds)) == 8


def of_a_job(
    size: int, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changed: object
) -> Sharing:
    """The share of the last process of a job that is not there."""
    monkeypatch.setattr(distributed, "size", lambda: size)
    monkeypatch.setattr(distributed, "rank", lambda: size - 1)
    planned = training(tmp_path, recipe, "strm", tuned=True)
    planned = replace(planned, recipe=planned.recipe.changed(**changed))
    learner, _ = meta.build(planned, 64)
    return Sharing(learner, planned, 50)


def test_passes_are_shared_whole_before_videos_are(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    five = {"episodes_per_step": 5, "episodes_at_once": 1, "batch_norm": "live"}
    whole = of_a_job(2, recipe, tmp_path, monkeypatch, **five)
    assert (whole.passes, whole.divisor, whole.videos) == ([1, 3], 2.5, slice(None))
    divided = of_a_job(3, recipe, tmp_path, monkeypatch)
    assert (divided.passes, divided.divisor, divided.videos) == ([0], 1.0, slice(2, None, 3))


@pytest.mark.parametrize(
    ("size", "changed", "message"),
    [
        (2, {"batch_norm": "live"}, r"needs a whole pass; start 1 at most, or lower"),
        (51, {}, r"a pass has 50 videos; start 50 at most"),
    ],
)
def test_more_processes_than_can_share_a_step_are_refused(
    size: int,
    changed: dict[str, object],
    message: str,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    with pytest.raises(UserError, match=message):
        of_a_job(size, recipe, tmp_path, monkeypatch, **changed)


def test_dropout_in_the_backbone_needs_whole_passes(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    backbone = load_backbone("motion", torch.device("cpu")).backbone
    backbone.time.append(nn.Dropout(0.1))
    monkeypatch.setattr("bench.training.plan.Training.copied_backbone", lambda self: backbone)
    with pytest.raises(UserError, match="live batch norm or dropout"):
        of_a_job(2, recipe, tmp_path, monkeypatch)


def test_processes_that_find_other_states_are_refused(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(distributed, "agreed", lambda value: value or 7 * (value is not False))
    with pytest.raises(UserError, match=r"at step 0 in .*, the first process at step 7"):
        train_one(training(tmp_path, recipe))


def test_a_connection_that_breaks_within_a_backward_pass_is_one_message():
    lost = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:537] Connection reset\nmore")
    ours = pytest.raises(UserError, match=r"has died or is stuck .*reset\); look for its own")
    with ours, distributed.connected():
        raise lost
    with pytest.raises(RuntimeError, match="shapes"), distributed.connected():
        raise RuntimeError("shapes do not fit")


def test_a_command_for_one_process_is_refused_to_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for words in (("tables", "somewhere"), ("train-backbone", "--out", tmp_path)):
        assert f"2 processes: `fvbench {words[0]}` is for one" in refused(*words)
    assert list(tmp_path.iterdir()) == []
