"""Loading trained weights of methods: this project's, and those that authors publish."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.method import Method
from bench.plugins.registry import import_reproductions
from bench.pretrained import read_weights
from bench.reference import adopt, names_of
from bench.weights.cards import file_sha256
from episodes.errors import UserError

BACKBONE = "backbone."
"""Prefix of the names of a backbone's weights in a checkpoint that holds both."""


def load_weights(method: Method, path: Path) -> None:
    """Load weights into a method.

    The file is this project's (``.safetensors``, our parameter names) or a checkpoint under the
    authors' names, which the method's file in `methods/parity/` maps to ours.

    Raises:
        UserError: the file is missing, needs pickle to be read, or does not fit the method.
    """
    import_reproductions()
    weights = read_weights(path)
    own = method.state_dict()
    if not method.learns:
        raise UserError(f"--weights {path}: {method.name} has no weights to load; leave it out")
    if own.keys() <= weights.keys():
        _load_own(method, {name: weights[name] for name in own}, path)
    elif names_of(method):
        adopt(method, weights)
    else:
        missing = sorted(own.keys() - weights.keys())
        raise UserError(
            f"{path} does not hold weights of {method.name}: {', '.join(missing[:3])} is missing"
            f" ({len(missing)} of {len(own)}); check that it belongs to this method"
        )


def tuned_backbone(start: LoadedBackbone, path: Path, device: torch.device) -> LoadedBackbone:
    """Return a backbone after training.

    Args:
        start: the backbone that training began with.
        path: weights that `fvbench train` wrote, the backbone's under ``backbone.``.
        device: where to put it.

    Raises:
        UserError: the weights are not of this backbone.
    """
    weights = read_weights(path)
    own = {
        name.removeprefix(BACKBONE): tensor
        for name, tensor in weights.items()
        if name.startswith(BACKBONE)
    }
    backbone = copy.deepcopy(start.backbone).cpu()
    try:
        backbone.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(
            f"--weights {path} hold no weights of backbone {backbone.name}: {error}"
        ) from error
    tuned = backbone.eval().to(device)
    return replace(start, backbone=tuned, weights_sha256=file_sha256(path))


def _load_own(method: Method, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        method.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UserError(f"--weights {path} does not fit {method.name}: {error}") from error
    method.eval()
