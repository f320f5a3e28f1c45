"""Files that come with the program are those that were committed, or are refused."""

import shutil
from pathlib import Path

import pytest

from bench.features import backbones
from bench.plugins.registry import built_in_methods, choose
from bench.weights import assignment, cards
from bench.weights.cards import WEIGHTS_FOLDER
from episodes.errors import UserError
from tests.command import call
from tests.synthetic import CPU

FILES = (
    "motion.safetensors",
    "heads/mastaf/seed-0/weights.safetensors",
    "heads/mastaf/seed-0/card.json",
)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A copy of the shipped weights that the program takes for them."""
    folder = tmp_path / "weights"
    shutil.copytree(WEIGHTS_FOLDER, folder)
    for module in (cards, backbones):
        monkeypatch.setattr(module, "WEIGHTS_FOLDER", folder)
    monkeypatch.setattr(cards, "SUMS", folder / "SHA256SUMS")
    monkeypatch.setattr(assignment, "SHIPPED", folder / "heads")
    cards.committed.cache_clear()
    yield folder
    cards.committed.cache_clear()


def test_every_shipped_file_is_listed_and_as_it_was_committed():
    """The docstring of `bench.weights.cards` says how to list weights that were replaced."""
    found = {path for path in WEIGHTS_FOLDER.rglob("*") if path.is_file()} - {cards.SUMS}
    assert {path.resolve() for path in found} == cards.committed().keys()
    assert cards.problems() == []


def used(copy: Path) -> list[assignment.MethodWithWeights]:
    loaded = backbones.load_backbone("motion", CPU)
    return assignment.with_weights([built_in_methods()["mastaf"]], None, loaded.weights_sha256)


def test_untouched_weights_are_used(copy: Path):
    (found,) = used(copy)
    assert found.weights is not None


@pytest.mark.parametrize(
    ("name", "trained"), [("trx[cardinalities=2+3]", True), ("trx[cardinalities=2+3+4]", False)]
)
def test_other_settings_than_those_of_the_weights_make_an_untrained_variant(name, trained):
    loaded = backbones.load_backbone("motion", CPU)
    chosen = choose(name, built_in_methods())
    (found,) = assignment.with_weights(chosen, None, loaded.weights_sha256)
    assert (found.weights is not None) == trained
    assert found.method.settings == chosen[0].settings


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_and_doctor_says_so(copy: Path, name: str):
    file = copy / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is not the file that comes with the program"):
        used(copy)
    status, said = call("doctor")
    assert status == 1
    assert f"MISS  shipped weights: {file.resolve()} is not the file" in said


@pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
def test_a_missing_file_is_not_taken_for_no_weights(copy: Path, name: str):
    (copy / "heads" / "mastaf" / "seed-0" / name).unlink()
    with pytest.raises(UserError, match="is missing"):
        used(copy)


def test_a_missing_list_is_refused(copy: Path):
    cards.SUMS.unlink()
    with pytest.raises(UserError, match="SHA256SUMS cannot be read"):
        used(copy)
