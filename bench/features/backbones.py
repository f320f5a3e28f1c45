"""Finding and loading backbones."""

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import safetensors.torch
import torch

import methods.backbones
from bench.backbone import Backbone, InputSpec
from bench.method import Method
from bench.plugins.source import meaning_sha256
from bench.pretrained import Pretrained, prepared
from bench.weights.cards import file_sha256
from bench.weights.paths import WEIGHTS_FOLDER
from bench.weights.shipped import check_shipped
from episodes.decoding.readers import default_decoder
from episodes.errors import UserError, unknown


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with its weights, in evaluation mode, and what identifies them."""

    backbone: Backbone
    weights_sha256: str
    sampling: str | None = None
    """Which frames it is shown (`episodes.decoding.sampling`); None for what a method asks."""
    decoder: str = field(default_factory=default_decoder)
    """What is asked first to read videos, see `episodes.decoding.readers`."""

    def sampling_for(self, method: type[Method]) -> str:
        """Which frames a method is shown; one that wants other frames than most gets those."""
        wanted = method.sampling
        return wanted if self.sampling is None or wanted != Method.sampling else self.sampling

    @property
    def title(self) -> str:
        """Its name and the first digits of its weights' hash."""
        return f"{self.backbone.name} {self.weights_sha256[:8]}"

    @property
    def shipped(self) -> bool:
        """Whether these are the weights that come with the program."""
        path = weights_path(self.backbone.name)
        return path.is_file() and file_sha256(path) == self.weights_sha256

    @property
    def source_sha256(self) -> str:
        """Hash of the code of the backbone and of what prepares its input (`bench.plugins.source`).

        Raises:
            UserError: the code has changed since it was loaded.
        """
        parts = type(self.backbone).__mro__ + type(self.backbone.input).__mro__
        classes = (cls for cls in parts if issubclass(cls, Backbone | InputSpec))
        found = meaning_sha256([*classes, prepared])
        if found is None:
            raise UserError(
                f"the code of backbone {self.backbone.name} has changed since it was loaded; give"
                " the same command again"
            )
        return found


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
        if inspect.isclass(cls) and issubclass(cls, Backbone) and "name" in vars(cls)
    }


def weights_path(name: str) -> Path:
    """Return where the shipped weights of a backbone lie."""
    return WEIGHTS_FOLDER / f"{name}.safetensors"


def where_weights_come_from(name: str) -> str:
    """Say it of a backbone in words."""
    cls = backbones()[name]
    if issubclass(cls, Pretrained):
        return cls.weights
    return "shipped" if weights_path(name).is_file() else "missing"


def load_backbone(words: str, device: torch.device) -> LoadedBackbone:
    """Load a backbone with its weights.

    Args:
        words: its name, or ``NAME=WHERE`` with the place of weights: a file, or for a backbone of
            ``transformers`` a folder or a model of the hub.
        device: where to put it.

    Raises:
        UserError: no such backbone, or its weights are missing or do not fit.
    """
    name, _, where = words.partition("=")
    known = backbones()
    if name not in known:
        raise unknown("backbone", name, known)
    cls = known[name]
    backbone, sha256 = cls.load(where) if issubclass(cls, Pretrained) else _shipped(cls, where)
    return LoadedBackbone(backbone.eval().to(device), sha256)


def _shipped(cls: type[Backbone], where: str) -> tuple[Backbone, str]:
    """Load a backbone with the weights that come with the program, or with others of its kind."""
    path = Path(where) if where else weights_path(cls.name)
    check_shipped(path)
    if not path.is_file():
        raise UserError(
            f"the weights of backbone {cls.name} are not at {path}; check the path, or make some"
            " with `fvbench train backbone`"
        )
    backbone = cls()
    try:
        backbone.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} does not hold weights of backbone {cls.name}: {error}") from error
    return backbone, file_sha256(path)
