"""Which weights each method is evaluated with: shipped ones, those that a user names, or none."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.method import ConfiguredMethod, Settings
from bench.runs.schema import HowTrained
from bench.weights.cards import (
    CARD,
    SAME_IN_ALL_SEEDS,
    WEIGHTS,
    WEIGHTS_FOLDER,
    Card,
    committed,
    file_sha256,
    read_card,
)
from episodes.errors import UserError
from episodes.schema import plain

SHIPPED = WEIGHTS_FOLDER / "heads"
"""Shipped weights of methods, for the features of the shipped backbones."""
UNTRAINED = "none"
"""Value of ``--weights`` for no weights at all, not even shipped ones."""


@dataclass(frozen=True)
class MethodWithWeights:
    """A method to evaluate, with its weights if it has any."""

    method: ConfiguredMethod
    weights: Path | None = None
    """The file of its weights."""
    sha256: str | None = None
    """Hash of that file."""
    card: Card | None = None
    """The card of its weights, if `fvbench train` made them."""

    @property
    def training(self) -> HowTrained | None:
        """How its weights were trained, if that is known."""
        return self.card.training if self.card else None

    @property
    def tuned(self) -> bool:
        """Whether its weights include a tuned backbone."""
        return self.card is not None and self.card.tuned

    @property
    def seed(self) -> int | None:
        """Seed of its training, if that is known."""
        return self.training.seed if self.training else None


def with_weights(
    methods: Sequence[ConfiguredMethod], weights: str | None, backbone_sha256: str
) -> list[MethodWithWeights]:
    """Assign weights to methods.

    Args:
        methods: the methods.
        weights: a file, for a single method; a folder written by `fvbench train`, of which every
            training seed of every method is used; "none" for no weights at all; None for the
            shipped weights, where they fit the backbone and the settings.
        backbone_sha256: hash of the weights of the backbone that computes the features.

    Raises:
        UserError: there is no such file or folder, it holds weights of none of the methods, the
            weights were trained on other features, or trainings differ in more than their seed.
    """
    if weights == UNTRAINED:
        return [MethodWithWeights(method) for method in methods]
    if weights is None:
        return [_with_shipped(method, backbone_sha256) for method in methods]
    path = Path(weights)
    if path.is_dir():
        assigned = []
        for method in methods:
            files = _seeds_of(method, path)
            seeds = [_with(method, file, backbone_sha256) for file in files]
            _check_seeds(zip(files, (one.card for one in seeds), strict=True))
            assigned += seeds or [MethodWithWeights(method)]
        if all(one.weights is None for one in assigned):
            names = ", ".join(method.name for method in methods[:5])
            raise UserError(
                f"--weights {path} holds no weights of {names}: no METHOD/seed-S/{WEIGHTS}, which a"
                " finished `fvbench train` writes into its --out; name that folder, or one such"
                " file"
            )
        return assigned
    if len(methods) > 1:
        raise UserError(
            f"--weights {path} is the file of one method, and {len(methods)} are to run; name one"
        )
    if not path.is_file():
        raise UserError(f"--weights {path}: there is no such file or folder")
    with path.open("rb") as file:
        begins = file.read(2)
    if path.suffix != ".safetensors" and not begins.startswith((b"PK", b"\x80")):
        raise UserError(
            f"--weights {path} is no file of weights; name a .safetensors file, or a checkpoint"
            " that torch.save wrote"
        )
    return [_with(methods[0], path, backbone_sha256)]


def _with_shipped(method: ConfiguredMethod, backbone_sha256: str) -> MethodWithWeights:
    """Return the method with the first of its shipped weights that fit the backbone.

    There are none if a setting that the user gave is not that of the training.
    """
    for path in _seeds_of(method, SHIPPED):
        card = read_card(path)
        if card is not None and card.backbone.weights_sha256 == backbone_sha256:
            trained = _settings(replace(method, given=()), card)
            if all(getattr(trained, name) == value for name, value in method.given):
                return _with(method, path, backbone_sha256)
    return MethodWithWeights(method)


def _seeds_of(method: ConfiguredMethod, folder: Path) -> list[Path]:
    """A method's weights by training seed: FOLDER/METHOD/seed-S/weights.safetensors."""
    pattern = f"seed-*/{WEIGHTS}"
    own = folder.resolve() / method.name
    if not own.is_dir():
        own = own.with_name(method.registered)
    paths = set(own.glob(pattern))
    paths |= {path for path in committed() if path.match(f"{own}/{pattern}")}  # may be missing
    return sorted(paths, key=lambda path: (len(path.parent.name), path.parent.name))


def _check_seeds(found: Iterable[tuple[Path, Card | None]]) -> None:
    """Refuse trainings that runs would take for seeds of one training, though they are not.

    Runs state a training in few words (`HowTrained`); its card has all that determined it.
    """
    for (path, card), (other_path, other) in combinations(found, 2):
        where = f"--weights: {path.parent} and {other_path.parent}"
        if card is None or other is None:
            raise UserError(f"{where} need a {CARD} each, which tells seeds apart; name one file")
        if card.training.of_any_seed != other.training.of_any_seed:
            continue
        if card.training.seed == other.training.seed:
            raise UserError(f"{where} are both of seed {card.training.seed}; move one elsewhere")
        if card.sha256 == other.sha256:
            raise UserError(f"{where} hold the same weights, not two seeds; move one elsewhere")
        for name in SAME_IN_ALL_SEEDS:
            here, there = (each.identity.model_dump()[name] for each in (card, other))
            if here != there:
                raise UserError(
                    f"{where} are not seeds of one training, since they differ in {name}:"
                    f" {_difference(here, there)}; name one file, or move one elsewhere"
                )


def _difference(one: Any, two: Any) -> str:
    """Two values; for tables, the first entry that differs."""
    if isinstance(one, dict) and isinstance(two, dict):
        key = next(key for key in one | two if one.get(key) != two.get(key))
        return f"{key} {one.get(key)} and {two.get(key)}"
    return f"{one} and {two}"


def _with(method: ConfiguredMethod, path: Path, backbone_sha256: str) -> MethodWithWeights:
    """Return the method with the weights in a file and the settings they were trained with."""
    card = read_card(path)
    sha256 = file_sha256(path)
    if card is None:
        return MethodWithWeights(method, path, sha256)
    if card.method not in (method.name, method.registered):
        raise UserError(f"--weights {path} belong to {card.method}, not to {method.name}")
    if not card.tuned and card.backbone.weights_sha256 != backbone_sha256:
        trained_on = (
            f"--weights {path} were trained on features of backbone {card.backbone.name} with"
            f" weights {card.backbone.weights_sha256[:12]}…, but"
        )
        if not backbone_sha256:
            raise UserError(
                f"{trained_on} nothing says what made these; say so in features.json beside them:"
                ' {"weights_sha256": "SHA256 of the weights"}'
            )
        raise UserError(
            f"{trained_on} these features come from weights {backbone_sha256[:12]}…; name that"
            " --backbone, or train on this one"
        )
    return MethodWithWeights(replace(method, settings=_settings(method, card)), path, sha256, card)


def _settings(method: ConfiguredMethod, card: Card) -> Settings:
    """Return the settings on a card, overridden by those that a user wrote after the name."""
    known = {field.name for field in fields(method.settings)}
    if unknown := sorted(card.settings.keys() - known):
        raise UserError(
            f"the weights of {card.method} were trained with settings {', '.join(unknown)}, which"
            " it no longer has; train again"
        )
    own = plain(asdict(method.settings))  # as on a card, which has neither tuples nor classes
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in card.settings.items()
        if value != own[name]
    }
    return replace(method.settings, **values | dict(method.given))
