"""The state of an unfinished training: believed whole, or refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.plugins.registry import built_in_methods
from bench.pretrained import save_tensors
from bench.runs.schema import HowTrained
from bench.training.recipe import read_training_recipe
from bench.training.state import STATE, Best, State, load_state, save_state
from bench.weights.cards import Start, TrainingIdentity, Validation, file_sha256
from episodes.errors import UserError
from episodes.schema import SEAL, sealed

IDENTITY = TrainingIdentity(
    method="x",
    revision=1,
    settings={},
    source_sha256="a",
    training=HowTrained(recipe="default", seed=0),
    recipe=read_training_recipe("default", built_in_methods()["otam"]),
    backbone=Start(name="motion", weights_sha256="b"),
    dataset="rendered",
    way=5,
    shot=1,
    validation=Validation(bank="val", bank_sha256="c", episodes=2),
    device="cpu",
)


def built() -> tuple[nn.Module, torch.optim.Optimizer]:
    learner = nn.Linear(2, 1)
    return learner, torch.optim.Adam(learner.parameters())


def written(folder: Path) -> None:
    """Write a training after two steps, the first of which was the best."""
    torch.manual_seed(0)
    learner, optimiser = built()
    learner(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    best = folder / "best-000001.safetensors"
    save_tensors(best, learner.state_dict())
    curve = [
        {"step": step, "validation_accuracy": accuracy}
        for step, accuracy in enumerate([0.85, 0.75, 0.75])
    ]
    state = State(2, Best(1, 0.75, best.name, file_sha256(best)), curve)
    save_state(folder, IDENTITY, state, learner, optimiser)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path)
    return tmp_path


def loaded(folder: Path) -> tuple[State, dict[str, torch.Tensor]]:
    learner, optimiser = built()
    state = load_state(folder, IDENTITY, learner, optimiser)
    return state, learner.state_dict()


def test_no_flipped_bit_is_believed(folder: Path):
    whole, weights = loaded(folder)
    assert (whole.step, whole.best.accuracy) == (2, 0.75)
    refused = 0
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        for bit in range(0, 8 * len(sound), 89):
            content = bytearray(sound)
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            try:
                state, found = loaded(folder)
            except UserError:
                refused += 1
            else:
                assert path.name == STATE, "files of tensors are hashed whole"
                assert state == whole
                assert all(torch.equal(found[name], one) for name, one in weights.items())
        path.write_bytes(sound)
    assert refused > 100
    assert loaded(folder)[0] == whole


def test_a_state_that_memory_cannot_hold_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def load_file(path: Path) -> dict[str, torch.Tensor]:
        raise MemoryError

    monkeypatch.setattr("safetensors.torch.load_file", load_file)
    with pytest.raises(MemoryError):
        loaded(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("accuracy", 8.775), ("accuracy", 0.8), ("step", 2), ("curve", None), ("curve", float("inf"))],
)
def test_impossible_figures_are_refused_under_a_hash_that_fits(
    folder: Path, key: str, value: float | None
):
    content = json.loads((folder / STATE).read_text())
    del content[SEAL]
    if key == "curve":
        content["curve"][0]["step"] = None
    else:
        content["best"][key] = value
    text = sealed(content)  # which is the same of null and of infinity
    (folder / STATE).write_text(text.replace('"step": null', f'"step": {json.dumps(value)}'))
    with pytest.raises(UserError, match="is damaged"):
        loaded(folder)
