"""Checks for what a run may need, with advice on what is missing."""

import os
import shutil

import torch

from bench.backbone import Backbone
from bench.features.backbones import backbones, weights_path
from bench.machine.device import describe_device
from bench.machine.installation import Finding
from bench.pretrained import Pretrained
from bench.weights.cards import committed, problems
from episodes.banks.bank import open_bank
from episodes.cache import cache_folder
from episodes.datasets import datasets
from episodes.errors import UserError

SPACE_NEEDED = 1_000_000_000
"""Bytes: the rendered dataset takes about 450 MB in full, features of its videos as much again."""


def diagnose() -> list[Finding]:
    """Check everything that a run may need."""
    return [
        Finding("cpu", True, True, describe_device(torch.device("cpu"))),
        _gpu(),
        _cache(),
        *(_weights(name, cls) for name, cls in sorted(backbones().items())),
        *(
            Finding(f"dataset {name}", known.state().startswith("ready"), False, known.state())
            for name, known in sorted(datasets().items())
        ),
        *_shipped(),
        _bank("default"),
        _bank("default-order"),
    ]


def _gpu() -> Finding:
    here, none = torch.cuda.is_available(), "none that torch can use; everything runs on the CPU"
    return Finding("gpu", here, False, describe_device(torch.device("cuda")) if here else none)


def _cache() -> Finding:
    folder, elsewhere = cache_folder(), "set FVBENCH_CACHE to another folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Finding("cache", False, True, f"{folder}: {error}; {elsewhere}")
    if not os.access(folder, os.W_OK):
        return Finding("cache", False, True, f"{folder} cannot be written; {elsewhere}")
    free = shutil.disk_usage(folder).free
    words, enough = f"{folder}, {free / 1e9:.0f} GB free", free >= SPACE_NEEDED
    return Finding(
        "cache", enough, True, words if enough else f"{words}; 1 GB is needed: {elsewhere}"
    )


def _weights(name: str, cls: type[Backbone]) -> Finding:
    if issubclass(cls, Pretrained):
        present = cls.present()
        return Finding(f"backbone {name}", present, False, "here" if present else cls.weights)
    path = weights_path(name)
    if not cls.__module__.startswith("methods."):
        return Finding(f"backbone {name}", True, False, f"of the plugin {cls.__module__}")
    if path.is_file():
        return Finding(f"backbone {name}", True, True, "weights shipped")
    return Finding(f"backbone {name}", False, True, f"no weights at {path}; restore them")


def _shipped() -> list[Finding]:
    """Whether the shipped weights are the files that were committed."""
    try:
        found = problems()
    except UserError as error:
        found = [str(error)]
    return [Finding("shipped weights", False, True, problem) for problem in found] or [
        Finding("shipped weights", True, True, f"{len(committed())} files verified")
    ]


def _bank(name: str) -> Finding:
    try:
        return Finding(
            f"bank {name}", True, True, f"verified, sha256 {open_bank(name).sha256[:16]}"
        )
    except UserError as error:
        return Finding(f"bank {name}", False, True, str(error))
