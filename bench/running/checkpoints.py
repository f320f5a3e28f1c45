"""Loading trained weights of methods: our own, and those that authors publish."""

import copy
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import torch

from bench.features.backbones import LoadedBackbone
from bench.features.files import FeatureCard
from bench.method import Method
from bench.plugins.registry import import_reproductions, source_sha256
from bench.pretrained import CroppedInput, read_weights
from bench.reference import adopt, names_of
from bench.weights.assignment import MethodWithWeights
from bench.weights.cards import committed, file_sha256
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


def outdated(loaded: LoadedBackbone, chosen: MethodWithWeights) -> str:
    """Say whether code has changed since a method's weights were trained; empty if it has not.

    Raises:
        UserError: they were trained with another backbone, even if that has the same weights, as
            all backbones without weights have.
    """
    card, name = chosen.card, loaded.backbone.name
    if card is None or chosen.weights in committed():
        return ""
    start = card.backbone
    unnamed = FeatureCard().backbone  # of given features
    if unnamed not in (start.name, name) and start.name != name:
        raise UserError(
            f"--weights {chosen.weights} were trained with backbone {start.name}, not {name}; name"
            " that --backbone, or train on this one"
        )
    cropped = isinstance(loaded.backbone.input, CroppedInput)  # by --resize, too: other code
    alike = start.input is not None and (start.input.resized is not None) == cropped
    if alike and start.source_sha256 not in (None, loaded.source_sha256):
        return f"the code of backbone {name} has changed since weights were trained with it"
    forms = (chosen.method, chosen.method.plain)
    if card.identity.source_sha256 not in map(source_sha256, forms):
        return f"the code of {chosen.method.name} has changed since its weights were trained"
    return ""


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
