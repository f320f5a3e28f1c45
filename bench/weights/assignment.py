"""What is evaluated: methods under their names, each with the weights that it gets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bench.method import ConfiguredMethod, Settings
from bench.runs.schema import HowTrained
from bench.weights.cards import WEIGHTS, WEIGHTS_FOLDER, Card, committed, file_sha256, read_card
from episodes.errors import UserError

SHIPPED = WEIGHTS_FOLDER / "heads"
"""Trained weights that come with the program, for the features of its own backbones."""
UNTRAINED = "none"
"""What stands for no weights, not even shipped ones."""


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights, and its card where `fvbench train` made it."""

    path: Path
    sha256: str
    card: Card | None


@dataclass(frozen=True)
class MethodWithWeights:
    """A method that is evaluated, with its weights if it has some."""

    entry: ConfiguredMethod
    checkpoint: Checkpoint | None = None

    @property
    def training(self) -> HowTrained | None:
        """How its weights were trained, where that is known."""
        card = self.checkpoint.card if self.checkpoint else None
        return None if card is None else card.training

    @property
    def tuned(self) -> bool:
        """Whether its weights hold a backbone of their own."""
        return bool(self.training and self.training.backbone == "tuned")

    @property
    def seed(self) -> int | None:
        """Seed of its training, where that is known."""
        return None if self.training is None else self.training.seed


def with_weights(
    entries: Sequence[ConfiguredMethod], weights: str | None, backbone_sha256: str
) -> list[MethodWithWeights]:
    """Give methods their weights.

    Args:
        entries: the methods.
        weights: a file, for a single method; a folder as `fvbench train` writes it, from which
            every training seed of every method is taken; "none" for no weights at all; None for
            the weights that come with the program, where they fit the backbone and the settings.
        backbone_sha256: hash of the weights of the backbone that makes the features.

    Raises:
        UserError: there is no such file or folder, it holds weights of none of the methods, or
            weights belong to other features.
    """
    if weights == UNTRAINED:
        return [MethodWithWeights(entry) for entry in entries]
    if weights is None:
        return [_with_shipped(entry, backbone_sha256) for entry in entries]
    path = Path(weights)
    if path.is_dir():
        found = [one for entry in entries for one in _from_folder(entry, path, backbone_sha256)]
        if all(one.checkpoint is None for one in found):
            names = ", ".join(one.name for one in entries[:5])
            raise UserError(
                f"--weights {path} holds no weights of {names}: no METHOD/seed-S/{WEIGHTS} as"
                f" `fvbench train --out {path}` writes it"
            )
        return found
    if len(entries) > 1:
        raise UserError(
            f"--weights {path} is a file for one method, {len(entries)} are to run; name one"
        )
    if not path.is_file():
        raise UserError(f"--weights {path}: there is no such file or folder")
    return [_with(entries[0], path, backbone_sha256)]


def _with_shipped(entry: ConfiguredMethod, backbone_sha256: str) -> MethodWithWeights:
    """Return the method with the first of its shipped weights that fits the backbone.

    With settings other than those that the weights were trained with it is a variant, which has no
    shipped weights.
    """
    for path in _seeds_of(entry, SHIPPED):
        card = read_card(path)
        if card is not None and card.backbone.weights_sha256 == backbone_sha256:
            trained = _settings(replace(entry, given=()), card)
            if all(getattr(trained, name) == value for name, value in entry.given):
                return _with(entry, path, backbone_sha256)
    return MethodWithWeights(entry)


def _from_folder(
    entry: ConfiguredMethod, folder: Path, backbone_sha256: str
) -> Iterator[MethodWithWeights]:
    """Yield the method with each of its weights in a folder."""
    found = list(_seeds_of(entry, folder))
    for path in found:
        yield _with(entry, path, backbone_sha256)
    if not found:
        yield MethodWithWeights(entry)


def _seeds_of(entry: ConfiguredMethod, folder: Path) -> list[Path]:
    """Files of weights of a method, by training seed: FOLDER/METHOD/seed-S/weights.safetensors."""
    pattern = f"seed-*/{WEIGHTS}"
    places = [folder.resolve() / name for name in dict.fromkeys((entry.name, entry.registered))]
    place = next((one for one in places if one.is_dir()), places[-1])
    paths = set(place.glob(pattern))
    paths |= {path for path in committed() if path.match(f"{place}/{pattern}")}  # may be missing
    return sorted(paths, key=lambda path: (len(path.parent.name), path.parent.name))


def _with(entry: ConfiguredMethod, path: Path, backbone_sha256: str) -> MethodWithWeights:
    """Return the method with the weights in a file, under the settings it was trained with."""
    card = read_card(path)
    checkpoint = Checkpoint(path, file_sha256(path), card)
    if card is None:
        return MethodWithWeights(entry, checkpoint)
    if card.method not in (entry.name, entry.registered):
        raise UserError(f"--weights {path} are of {card.method}, not of {entry.name}")
    if not card.tuned and card.backbone.weights_sha256 != backbone_sha256:
        raise UserError(
            f"--weights {path} were trained on features of backbone {card.backbone.name} with"
            f" weights {card.backbone.weights_sha256[:12]}…, these are features of weights"
            f" {backbone_sha256[:12]}…; name that --backbone, or train on this one"
        )
    return MethodWithWeights(replace(entry, settings=_settings(entry, card)), checkpoint)


def _settings(entry: ConfiguredMethod, card: Card) -> Settings:
    """Return the settings on a card, and over them those that a user wrote behind the name.

    Lists, which JSON has for tuples, become tuples again.
    """
    known = {field.name for field in fields(entry.settings)}
    if unknown := sorted(card.settings.keys() - known):
        raise UserError(
            f"the weights of {card.method} were trained with settings {', '.join(unknown)}, which"
            " it no longer has; train again"
        )
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in card.settings.items()
    }
    return type(entry.settings)(**values | dict(entry.given))
