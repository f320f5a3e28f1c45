"""Weights in one folder are seeds of one training, or are refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.plugins.registry import built_in_methods
from bench.weights.assignment import SHIPPED, with_weights
from bench.weights.cards import CARD
from episodes.errors import UserError
from episodes.schema import read_json, sealed

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


def test_seeds_of_one_training_are_all_used(trained: Path):
    assert used(trained) == [0, 1]


def _another_recipe(identity: dict[str, Any]) -> None:
    identity["recipe"]["learning_rate"] = 0.5


def _another_bank(identity: dict[str, Any]) -> None:
    identity["validation"]["bank"] = "other"


def _more_shots(identity: dict[str, Any]) -> None:
    identity["shot"] = 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_another_recipe, "differ in recipe: learning_rate 0.001 and 0.5;"),
        (_another_bank, "differ in validation: bank rendered-5w1s-val and other;"),
        (_more_shots, "differ in shot: 1 and 5;"),
    ],
)
def test_other_trainings_are_no_seeds(
    trained: Path, change: Callable[[dict[str, Any]], None], words: str
):
    path = trained / METHOD / "seed-1" / CARD
    card = read_json(path)
    card.pop("content_sha256", None)
    change(card["identity"])
    path.write_text(sealed(card), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        used(trained)


def test_a_copy_of_a_seed_is_no_other_seed(trained: Path):
    folder = trained / METHOD
    shutil.copytree(folder / "seed-1", folder / "seed-1 (copy)")
    with pytest.raises(UserError, match="are both of seed 1;"):
        used(trained)
