"""Augmentation obeys the recipe and the data set: nothing is mirrored where left is not right."""

from pathlib import Path

import pytest
import torch

from bench.progress import Reporter
from bench.training.augmentation import augmented, drawn_changes
from bench.training.inputs import Clips
from bench.training.stream import training_stream
from episodes.datasets import dataset, datasets
from tests.training.test_meta_training import training


def test_flipping_mirrors_every_other_clip():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 48).expand(64, 3, 2, 48, 48).contiguous()
    changed = augmented(ramp, drawn_changes(64, 0, recolour=False, flip=True), shift=0)
    mirrored = (changed[..., 40] < changed[..., 8]).flatten(1).all(dim=1)
    assert 16 < mirrored.sum() < 48
    assert torch.equal(augmented(ramp, drawn_changes(64, 0, recolour=False), shift=0), ramp)


def test_left_and_right_are_told_apart_where_classes_are_directions():
    expected = {"rendered": True, "ssv2-all": True, "ssv2-part": True}
    expected |= {"ucf101": False, "hmdb51": False, "kinetics-100": False}
    assert {name: datasets()[name].directional for name in expected} == expected


@pytest.mark.parametrize("directional", [True, False])
def test_a_recipe_may_mirror_only_where_the_data_set_lets_it(
    directional: bool, tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = tmp_path / "flip.toml"
    recipe.write_text(f"{small_recipe.read_text()}\nflip = true\n")
    planned = training(tmp_path, recipe, "otam", tuned=True)
    stream = training_stream(planned.validation, planned.recipe, 0)
    monkeypatch.setattr(type(dataset("rendered")), "directional", directional)
    inputs = Clips(planned, stream, Reporter())
    inputs.close()
    assert inputs._flip is not directional
