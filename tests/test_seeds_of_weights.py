"""Weights in one folder, and runs of weights, are seeds of one training, or are refused."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.plugins.registry import built_in_methods
from bench.weights.assignment import SHIPPED, with_weights
from bench.weights.cards import CARD, WEIGHTS, Card
from episodes.errors import UserError
from episodes.schema import SEAL, parsed, read_json, sealed
from tests.command import refused, succeeds

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


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a sealed file."""
    content = read_json(path)
    content.pop(SEAL, None)
    change(content)
    path.write_text(sealed(content), encoding="utf-8")


def _another_recipe(card: dict[str, Any]) -> None:
    card["identity"]["recipe"]["learning_rate"] = 0.5


def _another_bank(card: dict[str, Any]) -> None:
    card["identity"]["validation"]["bank"] = "other"


def _more_shots(card: dict[str, Any]) -> None:
    card["identity"]["shot"] = 5


def _another_seed(card: dict[str, Any]) -> None:
    card["training"]["seed"] = 7


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
    edit(trained / METHOD / "seed-1" / CARD, change)
    with pytest.raises(UserError, match=words):
        used(trained)


def test_the_hash_of_a_training_is_that_of_all_its_seeds_and_outlives_new_fields(trained: Path):
    first, second = (read_json(trained / METHOD / f"seed-{seed}" / CARD) for seed in (0, 1))

    def hashed(card: dict[str, Any]) -> str:
        return parsed(Card, card).identity.sha256_of_any_seed

    assert hashed(first) == hashed(second)
    assert second["identity"]["recipe"].pop("momentum") == 0.0  # as if a later version had it
    assert hashed(first) == hashed(second)
    for change in (_another_recipe, _another_bank, _more_shots):
        changed = copy.deepcopy(first)
        change(changed)
        assert hashed(changed) != hashed(first)


def test_a_copy_of_a_seed_is_no_other_seed(trained: Path):
    folder = trained / METHOD
    shutil.copytree(folder / "seed-1", folder / "seed-1 (copy)")
    with pytest.raises(UserError, match="are both of seed 1;"):
        used(trained)
    edit(folder / "seed-1 (copy)" / CARD, _another_seed)
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
    edit(runs[0], lambda run: run["declared"].pop("training_sha256"))
    before = runs[0].read_bytes()
    assert ran(first, tmp_path / first.name).read_bytes() == before
    succeeds("compare", *(run.parent for run in runs))
    runs[0].unlink()
    ran(first, tmp_path / first.name)

    edit(second / CARD, _another_recipe)
    other = ran(second, tmp_path / "other").parent
    said = refused("compare", runs[0].parent, other)
    assert "seeds 0 and 1 of mastaf-nores on bank default" in said
    assert "are of different trainings" in said
    shutil.copytree(first, tmp_path / "copy")
    edit(tmp_path / "copy" / CARD, _another_seed)
    again = ran(tmp_path / "copy", tmp_path / "run-of-copy").parent
    assert "are runs of the same weights" in refused("compare", runs[0].parent, again)
