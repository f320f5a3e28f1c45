"""Weights in one folder, and runs of weights, are seeds of one training, or are refused."""

import json
import math
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.features.backbones import load_backbone
from bench.method import Settings
from bench.plugins.registry import built_in_methods, source_sha256
from bench.running.checkpoints import outdated
from bench.weights.assignment import SHIPPED, with_weights
from bench.weights.cards import CARD, SAME_IN_ALL_SEEDS, WEIGHTS, Card
from episodes.errors import UserError
from episodes.schema import parsed, plain, read_json
from tests.command import refused, succeeds
from tests.test_schema import changed

METHOD = "mastaf-nores"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Two seeds of one training."""
    for seed in (0, 1):
        shutil.copytree(SHIPPED / METHOD / f"seed-{seed}", tmp_path / METHOD / f"seed-{seed}")
    return tmp_path


def used(folder: Path) -> list[int | None]:
    card = read_json(folder / METHOD / "seed-0" / CARD)
    entry = built_in_methods()[METHOD]
    found = with_weights([entry], str(folder), card["backbone"]["weights_sha256"])
    return [one.seed for one in found]


ANOTHER_RECIPE = ("identity.recipe.learning_rate", 0.5)
ANOTHER_SEED = ("training.seed", 7)
OTHER_TRAININGS = {
    ANOTHER_RECIPE: "differ in recipe: learning_rate 0.001 and 0.5;",
    ("identity.validation.bank", "other"): "differ in validation: bank rendered-5w1s-val and other",
    ("identity.shot", 5): "differ in shot: 1 and 5;",
}


@pytest.mark.parametrize("change", OTHER_TRAININGS)
def test_other_trainings_are_no_seeds(trained: Path, change: tuple[str, Any]):
    card = trained / METHOD / "seed-1" / CARD
    before = hashed(read_json(card))
    changed(card, *change)
    with pytest.raises(UserError, match=OTHER_TRAININGS[change]):
        used(trained)
    assert hashed(read_json(card)) != before


def hashed(card: dict[str, Any]) -> str:
    return parsed(Card, card).identity.sha256_of(*SAME_IN_ALL_SEEDS)


def test_the_hash_of_a_training_is_that_of_all_its_seeds_and_outlives_new_fields(trained: Path):
    first, second = (read_json(trained / METHOD / f"seed-{seed}" / CARD) for seed in (0, 1))
    assert hashed(first) == hashed(second)
    assert second["identity"]["recipe"].pop("momentum") == 0.0  # as if a later version had it
    assert hashed(first) == hashed(second)


def test_a_copy_of_a_seed_is_no_other_seed(trained: Path):
    folder = trained / METHOD
    shutil.copytree(folder / "seed-1", folder / "seed-1 (copy)")
    with pytest.raises(UserError, match="are both of seed 1;"):
        used(trained)
    changed(folder / "seed-1 (copy)" / CARD, *ANOTHER_SEED)
    with pytest.raises(UserError, match="hold the same weights, not two seeds;"):
        used(trained)


def test_seeds_without_cards_cannot_be_told_apart(trained: Path):
    (trained / METHOD / "seed-1" / CARD).unlink()
    with pytest.raises(UserError, match=r"need a card\.json each"):
        used(trained)


def ran(folder: Path, out: Path) -> Path:
    """Run the weights of one seed by the name of their file."""
    words = ("--methods", METHOD, "--weights", folder / WEIGHTS, "--episodes", "2", "--out", out)
    succeeds("run", *words)
    return out / METHOD / "run.json"


def test_runs_of_files_are_seeds_of_one_training_or_are_refused(trained: Path, tmp_path: Path):
    first, second = (trained / METHOD / f"seed-{seed}" for seed in (0, 1))
    runs = [ran(folder, tmp_path / folder.name) for folder in (first, second)]
    said = succeeds("compare", *(run.parent for run in runs), "--json")
    assert json.loads(said)["rows"][0]["seeds"] == [0, 1]

    # An older run, which says nothing of its training, is reused, and is a seed of either.
    changed(runs[0], "declared.training_sha256", None)
    before = runs[0].read_bytes()
    assert ran(first, tmp_path / first.name).read_bytes() == before
    succeeds("compare", *(run.parent for run in runs))
    runs[0].unlink()
    ran(first, tmp_path / first.name)

    changed(second / CARD, *ANOTHER_RECIPE)
    other = ran(second, tmp_path / "other").parent
    said = refused("compare", runs[0].parent, other)
    assert "seeds 0 and 1 of mastaf-nores on bank default" in said
    assert "are of different trainings" in said
    shutil.copytree(first, tmp_path / "copy")
    changed(tmp_path / "copy" / CARD, *ANOTHER_SEED)
    again = ran(tmp_path / "copy", tmp_path / "run-of-copy").parent
    assert "are runs of the same weights" in refused("compare", runs[0].parent, again)


def test_weights_of_another_backbone_are_refused_and_changed_code_is_told(trained: Path):
    """Backbones without weights have the same hash of them, none."""
    card = trained / METHOD / "seed-0" / CARD
    entry, loaded = built_in_methods()[METHOD], load_backbone("motion", torch.device("cpu"))

    def told(key: str, value: str) -> str:
        changed(card, key, value)
        chosen = with_weights([entry], str(card.with_name(WEIGHTS)), loaded.weights_sha256)
        return outdated(loaded, chosen[0])

    assert (
        told("identity.source_sha256", "0")
        == f"the code of {METHOD} has changed since its weights were trained"
    )
    assert told("identity.source_sha256", str(source_sha256(entry.plain))) == ""
    assert "the code of backbone motion has changed" in told("backbone.source_sha256", "0")
    with pytest.raises(UserError, match="trained with backbone other, not motion"):
        told("backbone.name", "other")


def test_settings_that_a_card_cannot_hold_as_they_are_stay_as_they_are(trained: Path):
    @dataclass(frozen=True)
    class Inner:
        size: int = 3

    @dataclass(frozen=True)
    class Odd(Settings):
        inner: Inner = Inner()
        sides: tuple[tuple[int, int], ...] = ((1, 2), (3, 4))
        limit: float = math.inf
        sizes: tuple[int, ...] = (1, 2)
        made: int = field(init=False, default=1)

    entry = replace(built_in_methods()[METHOD], settings=Odd())
    card = trained / METHOD / "seed-0" / CARD
    changed(card, "settings", plain(asdict(Odd(sizes=(3, 4)))))
    backbone = read_json(card)["backbone"]["weights_sha256"]
    (found,) = with_weights([entry], str(card.with_name(WEIGHTS)), backbone)
    assert found.method.settings == Odd(sizes=(3, 4))
