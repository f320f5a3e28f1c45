"""Cards of trained weights: what they are and what they saw; hashes of those that are shipped.

`results/weights/SHA256SUMS` lists the shipped files, as ``sha256sum`` writes and checks it. When
weights are replaced:

    cd results/weights
    find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.runs.directory import RESULTS_FOLDER, SEAL, check_seal
from episodes.errors import UserError

WEIGHTS_FOLDER = RESULTS_FOLDER / "weights"
"""Shipped weights, each with a card."""


SUMS = WEIGHTS_FOLDER / "SHA256SUMS"
RESTORE = "restore the file from the release, or with `git checkout results/weights`"


@cache
def committed() -> dict[Path, str]:
    """Hashes of all shipped files.

    Raises:
        UserError: the list is missing or damaged.
    """
    try:
        lines = [line.split("  ", 1) for line in SUMS.read_text(encoding="utf-8").splitlines()]
        return {
            WEIGHTS_FOLDER.resolve() / name.removeprefix("./"): sha256 for sha256, name in lines
        }
    except (OSError, ValueError) as error:
        raise UserError(f"{SUMS} cannot be read: {error}; {RESTORE}") from error


def check_shipped(path: Path) -> None:
    """Refuse a shipped file that is not the one that was committed; others are not looked at.

    Raises:
        UserError: it is missing or changed.
    """
    if (problem := _problem(path)) is not None:
        raise UserError(problem)


def problems() -> list[str]:
    """What is wrong with shipped files, one line each."""
    return [problem for path in committed() if (problem := _problem(path)) is not None]


def _problem(path: Path) -> str | None:
    path = path.resolve()
    if not path.is_relative_to(WEIGHTS_FOLDER.resolve()) or path not in committed():
        return None
    if not path.is_file():
        return f"{path}, which comes with the program, is missing; {RESTORE}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != committed()[path]:
        return f"{path} is not the file that comes with the program: its sha256 differs; {RESTORE}"
    return None


CARD = "card.json"
WEIGHTS = "weights.safetensors"
NEEDED: Mapping[str, tuple[str, ...]] = {
    "settings": (),
    "training": ("recipe", "seed", "backbone", "episodes"),
    "backbone": ("name", "weights_sha256"),
    "trained_on": ("dataset",),
}
"""What runs read of a card."""


@dataclass(frozen=True)
class Card:
    """What lies beside weights that `fvbench train` made."""

    method: str
    settings: Mapping[str, Any]
    training: Mapping[str, Any]
    """``recipe``, ``seed``, ``backbone`` ("frozen" or "tuned") and ``episodes``: what a run that
    uses the weights says of them."""
    backbone: Mapping[str, Any]
    """``name``, ``weights_sha256``, ``source_sha256``, ``input`` and ``sampling`` of the
    backbone that training began with; older cards lack the last two."""
    trained_on: Mapping[str, Any]
    """``dataset`` and ``split`` whose videos training has seen."""
    sha256: str
    """Of the weights' file."""

    @property
    def tuned(self) -> bool:
        """Whether the weights hold a backbone of their own."""
        return bool(self.training["backbone"] == "tuned")


def read_card(weights: Path) -> Card | None:
    """Read the card that lies beside a file of weights; None if there is none.

    Raises:
        UserError: the card is damaged, or belongs to other weights.
    """
    path = weights.parent / CARD
    check_shipped(weights)
    check_shipped(path)
    if weights.name != WEIGHTS or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        card = Card(**{name: content[name] for name in Card.__dataclass_fields__})
        if SEAL in content:  # older cards have none
            check_seal(content)
        for part, keys in NEEDED.items():
            values = getattr(card, part)
            if not isinstance(values, Mapping) or not values.keys() >= set(keys):
                raise ValueError(f"{part} does not have {', '.join(keys)}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path} is not a card of weights: {error!r}; restore it, or train again"
        ) from error
    if card.sha256 != file_sha256(weights):
        raise UserError(
            f"{weights} is not the file that {CARD} beside it describes: their sha256 differ;"
            " restore both, or train again"
        )
    return card


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
