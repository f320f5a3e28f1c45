"""Cards of trained weights: what they are, what they saw, and how to make them anew."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.runs.directory import SEAL, check_seal
from bench.weights.shipped import check_shipped
from episodes.errors import UserError

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
