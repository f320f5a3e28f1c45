"""Training episodes: seeded, of training classes alone, and never chosen on test classes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.plugins.registry import built_in_methods
from bench.training import stream as module
from bench.training.recipe import read_training_recipe
from bench.training.stream import guarded_split, training_stream
from bench.weights.recipe import TrainingRecipe
from episodes.atomic import write_text
from episodes.banks.bank import Bank, open_bank
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset
from episodes.errors import UserError
from episodes.split import Split, Video
from tests.command import refused
from tests.conftest import videos_of
from tests.test_own_videos import bank_of


@pytest.fixture(scope="module")
def validation() -> Bank:
    return open_bank("rendered-5w1s-val", 4)


@pytest.fixture
def recipe() -> TrainingRecipe:
    return read_training_recipe("default", built_in_methods()["mastaf"], episodes=40)


def test_a_seed_decides_the_episodes(validation: Bank, recipe: TrainingRecipe):
    one, same, other = (training_stream(validation, recipe, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.episodes.support, same.episodes.support)
    assert not np.array_equal(one.episodes.support, other.episodes.support)


def test_a_longer_training_begins_like_a_shorter_one(validation: Bank, recipe: TrainingRecipe):
    short = training_stream(validation, recipe, 0)
    long = training_stream(validation, recipe.changed(steps=3 * recipe.steps), 0)
    assert np.array_equal(short.episodes.query, long.episodes.query[: len(short.episodes)])


def test_classes_are_those_of_the_videos(validation: Bank, recipe: TrainingRecipe):
    stream = training_stream(validation, recipe, 0)
    batch = stream.window(3, 5)
    labels = [stream.split.videos[video].label for video in batch.videos.tolist()]
    assert [stream.split.classes[index] for index in batch.video_classes.tolist()] == labels
    assert batch.videos.shape == (5 * (5 + 5),)
    assert torch.equal(batch.videos[:25].reshape(5, 5, 1), batch.support)


def test_only_training_videos_occur(validation: Bank, recipe: TrainingRecipe):
    stream = training_stream(validation, recipe, 0)
    held_out = {
        (video.label, video.name)
        for name in ("val", "test")
        for video in dataset("rendered").split(name).videos
    }
    used = {stream.split.videos[index] for index in stream.used_videos()}
    assert used
    assert not {(video.label, video.name) for video in used} & held_out
    assert not {video.label for video in used} & {label for label, _ in held_out}


@pytest.mark.parametrize("name", ["default", "default-order", "rendered-5w5s-test"])
def test_a_test_bank_is_refused_by_name(name: str):
    printed = refused("train", "mastaf", "--validation", name, "--episodes", "8")
    assert f"--validation {name} uses the test classes" in printed


def test_a_dataset_whose_splits_share_a_class_is_refused(
    validation: Bank, monkeypatch: pytest.MonkeyPatch
):
    class Leaky:
        name = "rendered"

        def split(self, name: str) -> Split:
            shared = (Video("wave", "g1", f"{name}-1"), Video(f"only {name}", "g2", f"{name}-2"))
            return Split("rendered", name, shared)

    monkeypatch.setattr(module, "dataset", lambda name: Leaky())
    with pytest.raises(UserError, match=r"classes wave are in train and in val"):
        guarded_split(validation)


@pytest.mark.usefixtures("own_config")
def test_a_dataset_without_test_classes_is_trained_on_and_never_tested_on(tmp_path: Path):
    root = videos_of(tmp_path / "videos", "abcd", opened=False)
    for split, labels in (("train", "ab"), ("val", "cd")):
        lines = (f"{label}/{number}\n" for label in labels for number in range(2))
        write_text(tmp_path / "lists" / f"{split}.txt", "".join(lines))
    add_dataset("mine", root, tmp_path / "lists", trust=False)
    assert list(guarded_split(bank_of("mine", "val")).classes) == ["a", "b"]
    with pytest.raises(UserError, match="mine has no test classes, only train and val"):
        bank_of("mine", "test")


def test_too_few_videos_for_an_episode_are_named(validation: Bank, recipe: TrainingRecipe):
    with pytest.raises(UserError, match=r"asks for 101 videos of a class .* has 60"):
        training_stream(validation, recipe.changed(queries=100), 0)
