"""Finding and loading backbones."""

import hashlib
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import safetensors.torch
import torch

import methods.backbones
from bench.backbone import Backbone
from bench.paths import WEIGHTS_FOLDER
from episodes.errors import UserError, unknown


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with its weights, in evaluation mode, and what identifies them."""

    backbone: Backbone
    weights_sha256: str

    @property
    def source_sha256(self) -> str:
        """Hash of the files of the backbone and of what prepares its input."""
        paths = {Path(inspect.getfile(cls)) for cls in (type(self.backbone), Backbone)}
        content = b"".join(path.read_bytes() for path in sorted(paths, key=lambda path: path.name))
        return hashlib.sha256(content).hexdigest()


@cache
def backbones() -> dict[str, type[Backbone]]:
    """Return every backbone class in `methods.backbones` by its name."""
    package = methods.backbones
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return {
        cls.name: cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Backbone) and cls.__module__ == module.__name__
    }


def weights_path(name: str) -> Path:
    """Return where the shipped weights of a backbone lie."""
    return WEIGHTS_FOLDER / f"{name}.safetensors"


def load_backbone(name: str, device: torch.device) -> LoadedBackbone:
    """Load a backbone with its shipped weights.

    Raises:
        UserError: no such backbone, or its weights are missing or do not fit.
    """
    known = backbones()
    if name not in known:
        raise unknown("backbone", name, known)
    path = weights_path(name)
    if not path.is_file():
        raise UserError(
            f"the weights of backbone {name} are not at {path}; restore the file, or make it anew"
            f" with `fvbench train backbone --out {WEIGHTS_FOLDER}`"
        )
    backbone = known[name]()
    try:
        backbone.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} does not hold weights of backbone {name}: {error}") from error
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedBackbone(backbone.eval().to(device), sha256)
