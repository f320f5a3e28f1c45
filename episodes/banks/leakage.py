"""Test videos and classes that weights may have been trained on: refused, or reported."""

from collections.abc import Iterable
from functools import cache

from episodes.banks.bank import Bank
from episodes.datasets import datasets
from episodes.datasets.folder import Folder
from episodes.errors import UserError, warn
from episodes.split import composed

OVERLAPPING = {
    frozenset({"ssv2-part", "ssv2-all"}): (
        "568 of the 2,400 test videos of ssv2-part are training videos of ssv2-all, and 9 training"
        " classes of ssv2-part are test classes of ssv2-all"
    )
}
"""Pair of datasets that share videos -> to what extent."""
LABELLED = {
    "kinetics-100": {
        "kinetics-400": "its labels include all 100 classes",
        "kinetics-600": "many of its labels are classes of this one",
        "kinetics-700": "its labels include all 24 test and all 12 validation classes",
    },
    "ssv2-all": {"something-something-v2": "its labels are the classes"},
    "ssv2-part": {"something-something-v2": "its labels are the classes"},
}
"""Dataset -> pretraining sets whose labels include its test classes -> to what extent."""


def check_apart(trained_on: str, tested_on: str) -> None:
    """Refuse to test on a dataset that shares videos with the one trained on.

    Raises:
        UserError: the two datasets share videos.

    >>> check_apart("ssv2-all", "ssv2-all")
    """
    if overlap := OVERLAPPING.get(frozenset({trained_on, tested_on})):
        raise UserError(
            f"weights trained on {trained_on} cannot be tested on {tested_on}: {overlap}; train on"
            f" {tested_on}, or test on {trained_on}"
        )


def check_unseen(trained_on: str, list_sha256: str, bank: Bank) -> None:
    """Refuse to test weights on classes that they were trained on.

    That is a bank over the training classes, or over a folder whose videos are registered under
    another name for the training.

    Args:
        trained_on: the data set of the training.
        list_sha256: hash of the list of its training videos.
        bank: the bank to test on.

    Raises:
        UserError: the bank has classes of the training.
    """
    seen: list[str] = []
    if bank.split.sha256 == list_sha256:
        seen = list(bank.split.classes)
    elif isinstance(bank.source, Folder):
        known = datasets().get(trained_on)
        if isinstance(known, Folder) and known.root == bank.source.root:
            trained = {composed(label) for label, _ in (known.lists or {}).get("train", ())}
            seen = [label for label in bank.split.classes if label in trained]
            if trained and known.split("train").sha256 != list_sha256:
                _warn_once(
                    f"the training list of {trained_on} has changed since weights were trained on"
                    f" it: they may have seen classes of bank {bank.recipe.name}; train again, or"
                    " make sure that no test class was a training class"
                )
    if seen:
        raise UserError(
            f"weights trained on {trained_on} have seen {len(seen)} of the"
            f" {len(bank.split.classes)} classes of bank {bank.recipe.name}, {seen[0]!r} among"
            f" them; test on its test classes (`fvbench bank new NAME --dataset {trained_on}`), or"
            " take --weights none"
        )


_warn_once = cache(warn)


def contamination(seen: Iterable[str] | None, tested_on: str) -> str:
    """Say which of a backbone's training sets have the classes of a dataset as labels.

    ``seen`` is None if the training sets are not known. Empty if nothing is known to be shared.

    >>> contamination(["imagenet-1k"], "kinetics-100")
    ''
    >>> contamination(["kinetics-700"], "kinetics-100")[:44]
    'kinetics-100 is not new to this backbone: ki'
    """
    known = LABELLED.get(tested_on, {})
    if seen is None:
        unknown = f"what this backbone has seen is not known: perhaps the classes of {tested_on}"
        return unknown if known else ""
    shared = [f"{name}, {known[name]}" for name in seen if name in known]
    return f"{tested_on} is not new to this backbone: {'; '.join(shared)}" if shared else ""
