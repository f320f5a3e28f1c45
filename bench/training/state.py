"""The state of an unfinished training on disk: complete or absent, never pickled.

``state-STEP.safetensors`` holds every tensor; ``state.json``, which names it, is written last and
replaced atomically. A kill at any moment leaves the previous state or the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import safetensors.torch
from torch import Tensor, nn, optim

from bench.pretrained import UNREADABLE, save_tensors
from bench.weights.cards import TrainingIdentity, file_sha256
from episodes.atomic import write_text
from episodes.errors import UserError
from episodes.schema import Model, check_seal, parsed, read_json, sealed

STATE = "state.json"


@dataclass
class Best:
    """The checkpoint with the highest validation accuracy so far, the first one of equals."""

    step: int = -1
    accuracy: float = -1.0
    file: str = ""
    sha256: str = ""
    """Hash of the file."""


@dataclass
class State:
    """The progress of a training."""

    step: int = 0
    """Optimiser steps taken."""
    best: Best = field(default_factory=Best)
    curve: list[dict[str, float | None]] = field(default_factory=list)
    """A row for the start, and one for each step."""


class Unfinished(Model):
    """``state.json``: an unfinished training."""

    identity: TrainingIdentity
    """Everything that determines the weights."""
    file: str
    """Name of the file of tensors."""
    file_sha256: str
    """Hash of that file."""
    step: int
    """Optimiser steps taken."""
    best: Best
    """The best checkpoint so far."""
    curve: list[dict[str, float | None]]
    """A row for the start, and one for each step."""
    content_sha256: str | None = None
    """Hash of all other fields."""


def save_state(
    folder: Path,
    identity: TrainingIdentity,
    state: State,
    learner: nn.Module,
    optimiser: optim.Optimizer,
) -> None:
    """Write the state, then remove the previous one."""
    path = folder / f"state-{state.step:06d}.safetensors"
    save_tensors(path, _tensors(learner, optimiser))
    unfinished = Unfinished(
        identity=identity,
        file=path.name,
        file_sha256=file_sha256(path),
        step=state.step,
        best=state.best,
        curve=state.curve,
    )
    write_text(folder / STATE, sealed(unfinished.content()))
    _drop_others(folder, {path.name, state.best.file})


def load_state(
    folder: Path, identity: TrainingIdentity, learner: nn.Module, optimiser: optim.Optimizer
) -> State:
    """Restore learner and optimiser; return a fresh state if none was saved.

    Raises:
        UserError: the folder holds another training, or its state is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return State()
    try:
        content = read_json(path)
        found = parsed(Unfinished, content)
        check_same(folder, found.identity, identity)
        check_seal(content)
        state = State(found.step, found.best, found.curve)
        for name, sha256 in (
            (found.file, found.file_sha256),
            (state.best.file, state.best.sha256),
        ):
            if file_sha256(folder / name) != sha256:
                raise ValueError(f"{name} is not the file that was written with it")
        check_figures(state)
        _restore(safetensors.torch.load_file(folder / found.file), learner, optimiser)
    except MemoryError:  # a state that does not fit into memory is not damaged
        raise
    except UNREADABLE as error:
        raise UserError(
            f"{path}: the state of an unfinished training is damaged: {error}; delete {folder} and"
            " train again"
        ) from error
    return state


def steps_taken(folder: Path) -> int:
    """Return the number of steps an unfinished training has taken; 0 if that cannot be read."""
    try:
        return parsed(Unfinished, read_json(folder / STATE)).step
    except UNREADABLE:
        return 0


def check_figures(state: State) -> None:
    """Check that the best checkpoint is the first maximum of the curve.

    Raises:
        ValueError: the figures contradict each other.
    """
    measured = {
        int(row["step"] or 0): accuracy
        for row in state.curve
        if (accuracy := row.get("validation_accuracy")) is not None
    }
    if [row["step"] for row in state.curve] != list(range(state.step + 1)):
        raise ValueError(f"its curve does not have the steps 0 to {state.step}")
    if not all(0 <= accuracy <= 1 for accuracy in measured.values()):
        raise ValueError("an accuracy on its curve is not between 0 and 1")
    measured.pop(0, None)  # the start is measured, but its weights are not kept
    best = max(measured, key=lambda step: (measured[step], -step))
    if (state.best.step, state.best.accuracy) != (best, measured[best]):
        raise ValueError("its best checkpoint is not the best of its curve")


def check_same(folder: Path, found: TrainingIdentity, wanted: TrainingIdentity) -> None:
    """Refuse to resume a different training.

    Raises:
        UserError: naming the first field that differs.
    """
    # By full names, such as backbone.input.size.
    then, now = (pd.json_normalize(one.content()).to_dict("records")[0] for one in (found, wanted))
    for name in now | then:
        if then.get(name) != now.get(name):
            training = f"a training with {name} {then.get(name)}, not {now.get(name)}"
            if name == "videos_sha256" and then.get(name) is None:
                training = "a training by an earlier version, which does not state its videos"
            raise UserError(
                f"{folder} holds {training}; choose another --out, or delete that folder"
            )


def clear_state(folder: Path) -> None:
    """Remove the files of an unfinished training."""
    (folder / STATE).unlink(missing_ok=True)
    _drop_others(folder, set())


def _drop_others(folder: Path, kept: set[str]) -> None:
    for pattern in ("state-*.safetensors", "best-*.safetensors"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink()


def _tensors(learner: nn.Module, optimiser: optim.Optimizer) -> dict[str, Tensor]:
    """All tensors that training changes, by name."""
    tensors = {f"learner.{name}": one for name, one in learner.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimiser.{index}.{name}"] = value
    return {name: one.detach().cpu().contiguous() for name, one in tensors.items()}


def _restore(tensors: Mapping[str, Tensor], learner: nn.Module, optimiser: optim.Optimizer) -> None:
    prefix = "learner."
    learner.load_state_dict(
        {name[len(prefix) :]: one for name, one in tensors.items() if name.startswith(prefix)}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, one in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = one
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
