"""Training the backbone: the same seed gives the same weights, and the card says how."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from bench.machine.progress import Reporter
from bench.plugins import registry
from bench.training import backbone as training
from bench.training.backbone import train_motion, train_words
from bench.training.clips import augmented, drawn_changes
from bench.weights.backbone_card import BackboneCard, BackboneRecipe, WordsRecipe
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.schema import parsed, read_json
from episodes.split import Progress, SplitName, Video, VideoFile
from tests.command import call, refused

CPU = torch.device("cpu")
RECIPE = BackboneRecipe(seed=3, steps=3, batch_size=4)


def made_set(value: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clips = value * torch.randn(8, 3, 16, 48, 48, generator=generator).half()
    return clips, torch.arange(8) % 4


@pytest.fixture(autouse=True)
def made_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "load_training_set", lambda reporter: made_set())


def train(out: Path, recipe: BackboneRecipe = RECIPE) -> bytes:
    return train_motion(recipe, CPU, out, Reporter()).read_bytes()


def test_a_seed_decides_the_weights(tmp_path: Path):
    one, same = train(tmp_path / "one"), train(tmp_path / "same")
    other = train(tmp_path / "other", BackboneRecipe(seed=4, steps=3, batch_size=4))
    assert one == same
    assert one != other


def test_the_card_tells_a_stranger_how_the_weights_were_made(tmp_path: Path):
    weights = train(tmp_path)
    card = json.loads((tmp_path / "motion.json").read_text())
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert card["recipe"]["seed"] == 3
    assert card["trained_on"]["split"] == "train"
    assert {"command", "packages", "commit"} <= set(card["made_by"])


def test_the_card_of_a_text_tower_holds_its_whole_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = ["left", "right"]
    videos = torch.randn(4, 96, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(training, "videos_of", lambda *_: (videos, torch.arange(4) % 2, names))
    path = train_words(WordsRecipe(steps=2), CPU, tmp_path, Reporter())
    card = parsed(BackboneCard, read_json(path.with_suffix(".json")))
    assert card.recipe == WordsRecipe(steps=2)
    assert card.recipe.model_fields_set == WordsRecipe.model_fields.keys()
    assert {"vision", "validation_accuracy"} <= card.model_fields_set


def test_the_shipped_card_belongs_to_the_shipped_weights():
    from bench.weights.cards import WEIGHTS_FOLDER

    card = json.loads((WEIGHTS_FOLDER / "motion.json").read_text())
    weights = (WEIGHTS_FOLDER / "motion.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert card["bytes"] == len(weights) < 5_000_000
    assert card["trained_on"]["split_sha256"] == dataset("rendered").split("train").sha256


def test_a_loss_that_is_not_finite_stops_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "load_training_set", lambda reporter: made_set(float("nan")))
    with pytest.raises(UserError, match="at step 1"):
        train(tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_training_videos_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    asked: list[str] = []

    def files(split: SplitName, videos: tuple[Video, ...], progress: Progress) -> list[VideoFile]:
        asked.append(split)
        raise UserError("enough")

    monkeypatch.setattr(dataset("rendered"), "files", files)
    with pytest.raises(UserError, match="enough"):
        training.load_training_set(Reporter())
    assert asked == ["train"]


def test_augmentation_mirrors_nothing():
    # A ramp to the right stays a ramp to the right, or is inverted as a whole.
    ramp = torch.linspace(-1, 1, 48).expand(6, 3, 16, 48, 48).contiguous()
    changed = augmented(ramp, drawn_changes(len(ramp), 6), 3, ramp.shape[-1])
    assert changed.shape == ramp.shape
    slope = changed[..., 40] - changed[..., 8]
    brightness = changed[..., 24:].mean(dim=(1, 2, 3, 4)) - changed[..., :24].mean(dim=(1, 2, 3, 4))
    assert ((slope.flatten(1) > 0).all(dim=1) == (brightness > 0)).all()
    assert slope.abs().min() > 0.5


def test_the_command_trains_what_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given: list[object] = []

    def trained(recipe: BackboneRecipe | WordsRecipe, _: object, out: Path, __: object) -> Path:
        given.append((type(recipe), recipe.seed, recipe.steps, out))
        return out / "motion.safetensors"

    monkeypatch.setattr(training, "train_motion", trained)
    monkeypatch.setattr(training, "train_words", trained)
    options = ("--device", "cpu", "--out", tmp_path)
    assert call("train-backbone", "--seed", 1, "--steps", 3, *options)[0] == 0
    assert call("train-backbone", "words", *options)[0] == 0
    assert given == [(BackboneRecipe, 1, 3, tmp_path), (WordsRecipe, 0, 300, tmp_path)]


@pytest.mark.parametrize("name", ["backbone", "words"])
def test_the_name_of_a_backbone_is_no_method_s(name: str, tmp_path: Path):
    assert "`fvbench train-backbone" in refused("train", "mastaf", name, "--out", tmp_path)


def test_a_method_may_have_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = registry.built_in_methods()
    monkeypatch.setattr(registry, "all_methods", lambda: known | {"words": known["chance"]})
    words = ("train", "words", "--freeze-backbone", "--out", tmp_path)
    assert "chance has no weights of its own" in refused(*words)
