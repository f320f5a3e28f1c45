"""Loading trained weights of methods: this project's, and those that authors publish."""

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from bench.backbones import LoadedBackbone
from bench.cards import file_sha256
from bench.method import Method
from bench.reference import adopt
from episodes.errors import UserError

CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model")
"""Keys under which training scripts put the weights beside other things."""
BACKBONE = "backbone."
"""What stands before the names of a backbone's weights in a checkpoint that holds both."""
WRAPPERS = ("module.",)
"""What wrapping a model for several GPUs puts before every name."""


def load_weights(method: Method, path: Path) -> None:
    """Load weights into a method.

    The file is this project's (``.safetensors``, our parameter names) or a checkpoint under the
    authors' names, as `Method.authors_names` maps them.

    Raises:
        UserError: the file is missing, needs pickle to be read, or does not fit the method.
    """
    weights = read_weights(path)
    own = method.state_dict()
    if not method.learns:
        raise UserError(f"--weights {path}: {method.name} has no weights to load; leave it out")
    if own.keys() <= weights.keys():
        _load_own(method, {name: weights[name] for name in own}, path)
    elif method.authors_names:
        adopt(method, weights)
    else:
        missing = sorted(own.keys() - weights.keys())
        raise UserError(
            f"{path} does not hold weights of {method.name}: {', '.join(missing[:3])} is missing"
            f" ({len(missing)} of {len(own)}); check that it belongs to this method"
        )


def tuned_backbone(start: LoadedBackbone, path: Path, device: torch.device) -> LoadedBackbone:
    """Return a backbone as training left it.

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
    return LoadedBackbone(backbone.eval().to(device), file_sha256(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a flat mapping of names to tensors, without ever running code from the file.

    Raises:
        UserError: the file is missing, holds something else, or needs pickle.
    """
    if not path.is_file():
        raise UserError(f"--weights {path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"--weights {path} holds more than tensors, and reading it could run code of whoever"
            " made it. In the environment that made it, save the weights alone:"
            " `torch.save(model.state_dict(), 'weights.pt')`"
        ) from error
    except (RuntimeError, OSError, EOFError, safetensors.SafetensorError) as error:
        raise UserError(f"--weights {path} cannot be read: {error}") from error
    return _unwrapped(content, path)


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """Find the tensors in what a training script saved."""
    if isinstance(content, Mapping):
        for key in CONTAINERS:
            if isinstance(content.get(key), Mapping):
                return _unwrapped(content[key], path)
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return {_bare(name): value for name, value in tensors.items()}
    raise UserError(f"--weights {path} holds no tensors by name; save `model.state_dict()`")


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _load_own(method: Method, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        method.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UserError(f"--weights {path} does not fit {method.name}: {error}") from error
    method.eval()
