"""Loading trained weights of methods: our own, and those that authors publish."""

import copy
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import torch

from bench.features.backbones import LoadedBackbone
from bench.method import Method
from bench.plugins.registry import import_reproductions
from bench.pretrained import read_weights
from bench.reference import adopt, names_of
from bench.weights.cards import file_sha256
from episodes.errors import UserError

BACKBONE = "backbone."
"""Prefix of the weights of a tuned backbone in a method's checkpoint."""


def load_weights(method: Method, path: Path) -> None:
    """Load weights into a method.

    The file is one of ours (``.safetensors`` with our parameter names), or a checkpoint with the
    authors' names, which the method's file in `methods/parity/` maps to ours.

    Raises:
        UserError: the file is missing, can only be read with pickle, or does not fit the method.
    """
    import_reproductions()
    weights = read_weights(path)
    own = method.state_dict()
    if not method.learns:
        raise UserError(f"--weights {path}: {method.name} has no weights to load; leave it out")
    if own.keys() <= weights.keys():
        try:
            method.load_state_dict({name: weights[name] for name in own})
        except RuntimeError as error:
            raise UserError(
                f"--weights {path} does not fit {method.name}: {shorten(str(error), 300)}"
            ) from error
        method.eval()
    elif names_of(method):
        adopt(method, weights)
    else:
        missing = sorted(own.keys() - weights.keys())
        raise UserError(
            f"{path} does not hold weights of {method.name}: {', '.join(missing[:3])} is missing"
            f" ({len(missing)} of {len(own)}); check that it belongs to this method"
        )


def tuned_backbone(start: LoadedBackbone, path: Path, device: torch.device) -> LoadedBackbone:
    """Return a tuned backbone.

    Args:
        start: the backbone from which training started.
        path: weights from `fvbench train`, those of the backbone under ``backbone.``.
        device: where to put it.

    Raises:
        UserError: the weights do not belong to this backbone.
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
            f"--weights {path} include a backbone, and it is not {backbone.name}; name the"
            " --backbone that they were trained with, as their card says"
        ) from error
    tuned = backbone.eval().to(device)
    return replace(start, backbone=tuned, weights_sha256=file_sha256(path))
