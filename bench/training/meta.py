"""Meta-training: episodes of training classes in, weights with their card out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.conformance.learning import for_training
from bench.machine import distributed
from bench.machine.device import repeatable
from bench.machine.progress import Reporter
from bench.pretrained import save_tensors
from bench.training.clips import ClipLibrary
from bench.training.inputs import Clips, Features
from bench.training.learner import Learner, optimiser_of, set_learning_rates, weights_for_use
from bench.training.outcome import finish, finished
from bench.training.plan import Training
from bench.training.sharing import Sharing
from bench.training.state import State, clear_state, load_state, save_state
from bench.training.stream import EpisodeBatch, Stream, training_stream
from bench.training.validation import Validator
from bench.weights.cards import TrainingIdentity, file_sha256
from episodes.errors import UserError
from episodes.split import Progress


def train(training: Training, library: ClipLibrary, reporter: Reporter) -> Path:
    """Train, or resume an interrupted training to the same weights.

    All processes of a job take part; the first of them writes.

    Returns:
        the folder with ``weights.safetensors``, ``card.json`` and ``train.csv``.

    Raises:
        UserError: no loss reaches a weight, the data set cannot fill an episode, the loss is not
            finite, memory is short, or the folder holds another training or cannot be written. The
            best checkpoint so far is kept.
    """
    identity = training.identity()
    if distributed.agreed(finished(training.folder, identity)):
        if distributed.is_first():
            clear_state(training.folder)  # left by a kill right after the card was written
        return training.folder
    stream = training_stream(training.validation, training.recipe, training.seed)
    with _written(training.folder):
        training.folder.mkdir(parents=True, exist_ok=True)
    generators = [training.device] if training.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=generators),
        repeatable(training.device),
        library.for_one_training(),
    ):
        learner, optimiser = build(training, len(stream.split.classes))
        state = load_state(training.folder, identity, learner, optimiser)
        _check_agreed(training, state)
        sharing = Sharing(
            learner, training, len(stream.window(0, training.recipe.episodes_at_once).videos)
        )
        inputs = (
            Clips(training, stream, library, reporter)
            if training.tuned
            else Features(training, stream, reporter)
        )
        validator = Validator(training, library, reporter)
        loop = _Loop(training, stream, learner, optimiser, sharing, inputs, validator, state)
        with reporter.stage(f"train {training.title}") as progress:
            loop.run(identity, progress, reporter)
    if distributed.is_first():
        with _written(training.folder):
            finish(training, identity, state)
    distributed.wait()
    return training.folder


def build(training: Training, classes: int) -> tuple[Learner, torch.optim.Optimizer]:
    """Build the learner and its optimiser."""
    training.seeded("weights")
    configured = for_training(training.method, classes)
    method = configured.built(training.shape, configured.settings)
    backbone = training.copied_backbone() if training.tuned else None
    text = training.class_text() if method.needs_text else None
    learner = Learner(method, backbone, classes, training.recipe, text)
    learner.to(training.device).train()
    return learner, optimiser_of(learner, training.recipe)


def whole_loss(terms: Mapping[str, Tensor], training: Training) -> Tensor:
    """Sum the terms of a loss.

    Raises:
        UserError: no weight changes it.
    """
    loss = torch.stack(list(terms.values())).sum() if terms else torch.zeros(())
    if not loss.requires_grad:
        raise UserError(
            f"the loss of {training.method.name} does not depend on any weight under recipe"
            f" {training.recipe.name}: there is nothing to train"
        )
    return loss


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Say that the folder cannot be written, which is no failure of the method."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error}; what was saved before is kept: make room, or"
            " correct the folder, and give the same command again"
        ) from error


def _check_agreed(training: Training, state: State) -> None:
    """Refuse a job whose processes would start at different steps."""
    first = distributed.agreed(state.step)
    if state.step != first:
        raise UserError(
            f"process {distributed.rank()} finds the training {training.title} at step"
            f" {state.step} in {training.folder}, the first process at step {first}; all processes"
            " of a job need the same folder: choose an --out that all of them share"
        )


@dataclass
class _Loop:
    """Takes optimiser steps, with validation at intervals."""

    training: Training
    stream: Stream
    learner: Learner
    optimiser: torch.optim.Optimizer
    sharing: Sharing
    inputs: Clips | Features
    validator: Validator
    state: State

    def run(self, identity: TrainingIdentity, progress: Progress, reporter: Reporter) -> None:
        """Take the remaining steps; validate and save as often as the recipe says."""
        recipe, state, folder = self.training.recipe, self.state, self.training.folder
        if not state.curve:
            accuracy = self.validator.accuracy(self.learner)
            state.curve.append({"step": 0, "validation_accuracy": accuracy})
        start, first, shown = time.monotonic(), state.step, ""
        while state.step < recipe.steps:
            terms = self._step(state.step)
            state.step += 1
            row: dict[str, float | None] = {"step": state.step, **terms}
            state.curve.append(row)
            if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
                accuracy = row["validation_accuracy"] = self._validate()
                if distributed.is_first():
                    with _written(folder):
                        save_state(folder, identity, state, self.learner, self.optimiser)
                shown = f", validation {accuracy:.1%}"
            losses = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
            taken = (state.step - first) * recipe.episodes_per_step
            speed = taken / (time.monotonic() - start)
            reporter.note(f"({losses}{shown}, {speed:.0f} episodes/s)")
            progress(state.step * recipe.episodes_per_step, recipe.episodes)

    def _validate(self) -> float:
        """Measure accuracy on the validation bank; keep the weights if they are the best so far."""
        accuracy = self.validator.accuracy(self.learner)
        best = self.state.best
        if accuracy > best.accuracy:
            best.step, best.accuracy = self.state.step, accuracy
            best.file = f"best-{self.state.step:06d}.safetensors"
            weights = weights_for_use(self.learner, self.training.method, self.training.shape)
            if distributed.is_first():
                with _written(self.training.folder):
                    save_tensors(self.training.folder / best.file, weights)
                best.sha256 = file_sha256(self.training.folder / best.file)
        return accuracy

    def _step(self, step: int) -> dict[str, float]:
        """Take one optimiser step; return the loss terms, means over its episodes."""
        recipe = self.training.recipe
        set_learning_rates(self.optimiser, recipe.learning_rate_at(step))
        self.optimiser.zero_grad()
        terms = []
        for number in self.sharing.passes:
            with self.sharing.taking(number):
                terms.append(self._backward(step, number))
        means = self.sharing.settled(terms)
        if step + 1 < recipe.steps:
            for number in self.sharing.passes:  # decodes while this step is computed
                videos = self._batch(step + 1, number).videos[self.sharing.videos]
                self.inputs.prepare(videos, step + 1)
        if recipe.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.learner.parameters(), recipe.clip_norm)
        self.optimiser.step()
        return means

    def _backward(self, step: int, number: int) -> dict[str, float]:
        """Accumulate the gradient of one pass of a step; return its loss terms."""
        self.training.seeded("step", step, *([number] if number else []))
        batch, sharing = self._batch(step, number), self.sharing
        try:
            inputs = self.inputs.take(batch.videos, sharing.videos, step)
            with distributed.connected():
                terms = sharing.model(inputs, batch.to(self.training.device))
                loss = whole_loss(terms, self.training)
                self._check(terms, step)
                (loss / sharing.divisor).backward()
        except (RuntimeError, MemoryError) as error:
            out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
            if not out_of_memory and "allocate" not in str(error):
                raise
            raise UserError(
                f"training {self.training.title} needs more memory than there is for"
                f" {self.training.recipe.episodes_at_once} episodes at once; {self._kept()}: lower"
                " episodes_at_once in a recipe of your own"
            ) from error
        return {name: float(term.detach()) for name, term in terms.items()}

    def _batch(self, step: int, number: int) -> EpisodeBatch:
        """Return the episodes of one pass of a step."""
        recipe = self.training.recipe
        first = step * recipe.episodes_per_step + number * recipe.episodes_at_once
        return self.stream.window(first, recipe.episodes_at_once)

    def _check(self, terms: dict[str, Tensor], step: int) -> None:
        for term, value in terms.items():
            if not torch.isfinite(value):
                raise UserError(
                    f"training {self.training.title}: the loss term {term} is {value.item()} at"
                    f" step {step + 1}; {self._kept()}: lower learning_rate in the recipe, or"
                    " limit clip_norm"
                )

    def _kept(self) -> str:
        best = self.state.best
        if best.step < 0:
            return "no checkpoint was reached yet"
        return f"the checkpoint of step {best.step} is kept in {self.training.folder / best.file}"
