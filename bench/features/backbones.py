"""Finding and loading backbones."""

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import shorten

import safetensors.torch
import torch

import methods.backbones
from bench.backbone import Backbone, InputSpec
from bench.method import Method
from bench.plugins.source import meaning_sha256
from bench.pretrained import Pretrained, content_sha256, prepared
from bench.weights.cards import WEIGHTS_FOLDER, check_shipped, file_sha256
from episodes.decoding.readers import default_decoder
from episodes.errors import UserError, unknown
from episodes.plugins import brought, load_file


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with its weights, in evaluation mode, and what identifies it."""

    backbone: Backbone
    weights_sha256: str
    sampling: str | None = None
    """Rule by which frames are sampled (`episodes.decoding.sampling`); None for that of each
    method."""
    decoder: str = field(default_factory=default_decoder)
    """The preferred video reader, see `episodes.decoding.readers`."""

    def sampling_for(self, method: type[Method]) -> str:
        """Return the sampling rule for a method; a method that declares its own keeps it."""
        wanted = method.sampling
        return wanted if self.sampling is None or wanted != Method.sampling else self.sampling

    @property
    def title(self) -> str:
        """Name, and the first digits of the hash of the weights."""
        return f"{self.backbone.name} {self.weights_sha256[:8]}"

    @property
    def shipped(self) -> bool:
        """Whether these are the shipped weights."""
        path = weights_path(self.backbone.name)
        return path.is_file() and file_sha256(path) == self.weights_sha256

    @property
    def source_sha256(self) -> str:
        """Hash of the code of the backbone and of its preprocessing (`bench.plugins.source`).

        Raises:
            UserError: the code has changed since it was loaded, or cannot be read.
        """
        parts = type(self.backbone).__mro__ + type(self.backbone.input).__mro__
        classes = (cls for cls in parts if issubclass(cls, Backbone | InputSpec))
        found = meaning_sha256([*classes, prepared])
        if found is None:
            raise UserError(
                f"the code of backbone {self.backbone.name} has changed since it was loaded: repeat"
                " the command; or it is in an archive: unpack that"
            )
        return found


ENTRY_POINTS = "fvbench.backbones"
"""Entry-point group under which distributions announce backbones, or modules with backbones."""


def backbones() -> dict[str, type[Backbone]]:
    """Return every backbone class by its name: ours, and those of plugins.

    Raises:
        UserError: two backbones have the same name.
    """
    found = dict(_built_in())
    for plugin in brought(ENTRY_POINTS):
        for cls in _defined_in(plugin):
            taken = found.setdefault(cls.name, cls)
            if taken is not cls:
                raise UserError(
                    f"two backbones are called {cls.name}: {taken.__module__}.{taken.__name__} and"
                    f" {cls.__module__}.{cls.__name__}; rename one of them"
                )
    return found


@cache
def _built_in() -> dict[str, type[Backbone]]:
    package = methods.backbones
    modules = (
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    )
    return {cls.name: cls for module in modules for cls in _defined_in(module)}


def backbones_in(path: Path) -> list[str]:
    """Load a plugin file and return the names of the backbones that it defines.

    Raises:
        UserError: it cannot be loaded, or defines none.
    """
    names = [cls.name for cls in _defined_in(load_file(path))]
    if not names:
        raise UserError(
            f"{path} defines no backbone: no class that derives from bench.backbone.Backbone and"
            " states its name"
        )
    return names


def _defined_in(module: object) -> list[type[Backbone]]:
    """Return the backbones that a module defines itself, not those that it imports.

    An entry point may also name the class of a backbone.
    """
    if inspect.isclass(module):
        return [module] if issubclass(module, Backbone) else []
    return [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Backbone)
        and "name" in vars(cls)
        and cls.__module__ == vars(module).get("__name__")
    ]


def weights_path(name: str) -> Path:
    """Return the path of the shipped weights of a backbone."""
    return WEIGHTS_FOLDER / f"{name}.safetensors"


def where_weights_come_from(name: str) -> str:
    """Say where the weights of a backbone come from."""
    cls = backbones()[name]
    if issubclass(cls, Pretrained):
        return cls.weights
    if name not in _built_in():
        return f"none, or --backbone {name}=FILE"
    return "shipped" if weights_path(name).is_file() else "missing"


def load_backbone(choice: str, device: torch.device) -> LoadedBackbone:
    """Load a backbone with its weights.

    Args:
        choice: its name, or ``NAME=WHERE`` with the place of its weights: a file, or for a backbone
            of ``transformers`` a folder or a model of the hub.
        device: where to put it.

    Raises:
        UserError: there is no such backbone, or its weights are missing or do not fit.
    """
    name, _, where = choice.partition("=")
    known = backbones()
    if name not in known:
        raise unknown("backbone", name, known)
    cls = known[name]
    backbone, sha256 = cls.load(where) if issubclass(cls, Pretrained) else _shipped(cls, where)
    return LoadedBackbone(backbone.eval().to(device), sha256)


def _shipped(cls: type[Backbone], where: str) -> tuple[Backbone, str]:
    """Load a backbone with the shipped weights, or with those of a file."""
    backbone = cls()
    if not where and not weights_path(cls.name).exists() and not backbone.state_dict():
        return backbone, content_sha256({})  # it has no weights, such as mean colours on a grid
    path = Path(where) if where else weights_path(cls.name)
    check_shipped(path)
    if not path.is_file():
        raise UserError(
            f"the weights of backbone {cls.name} are not at {path}; name their file:"
            f" --backbone {cls.name}=FILE"
        )
    try:
        backbone.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} does not hold weights of backbone {cls.name}: {shorten(str(error), 300)}"
        ) from error
    return backbone, file_sha256(path)
