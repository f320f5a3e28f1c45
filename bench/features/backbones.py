"""Finding and loading backbones, with the preprocessing of videos that the user chose for them."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from textwrap import shorten

import safetensors.torch
import torch

import methods.backbones
from bench.backbone import Backbone, InputSpec
from bench.features.given import GivenFeatures
from bench.method import Method
from bench.plugins.source import meaning_sha256
from bench.pretrained import CroppedInput, Pretrained, content_sha256, prepared
from bench.runs.schema import FeatureIdentity, Input
from bench.settings import is_of_kind, kind_in_words
from bench.weights.cards import WEIGHTS_FOLDER, check_shipped, file_sha256
from episodes.decoding.clips import chosen_decoder
from episodes.decoding.readers import default_decoder
from episodes.decoding.readings import Readings
from episodes.decoding.sampling import canonical
from episodes.errors import UserError, in_words, unknown
from episodes.plugins import brought, load_file
from episodes.split import VideoFile

LARGEST = 2048
"""Largest side of a resized picture, in pixels: such a frame takes 50 MB while it is resized."""


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

    def keys(self, files: Sequence[VideoFile]) -> list[str]:
        """Return the key under which the features of each file are stored."""
        return list(map(Readings(self.decoder).key, files))

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


def backbone_or_features(
    backbone: str,
    features: Path | None,
    device: torch.device,
    sampling: str | None = None,
    resize: str | None = None,
    decoder: str | None = None,
) -> tuple[LoadedBackbone, GivenFeatures | None]:
    """Load a backbone, or open given features with a stand-in for their backbone.

    Raises:
        UserError: see `load_backbone`, `with_preprocessing` and `GivenFeatures`.
    """
    if features is None:
        loaded = load_backbone(backbone, device)
        return with_preprocessing(loaded, sampling, resize, decoder), None
    given = GivenFeatures(features)
    stand_in = _StandIn()
    stand_in.declare(
        channels=given.shape.channels,
        grid=tuple(given.shape[1:]),
        pretraining=given.card.pretraining,
        seen=given.card.seen,
    )
    vars(stand_in)["name"] = given.card.backbone
    return LoadedBackbone(stand_in, given.card.weights_sha256), given


class _StandIn(Pretrained):
    """Stands in for the backbone of given features, without a network."""

    revision = 1
    source = "not stated"
    input = InputSpec(1, 1, (0.0,) * 3, (1.0,) * 3)


def load_backbone(choice: str, device: torch.device, stated: bool = True) -> LoadedBackbone:
    """Load a backbone with its weights.

    Args:
        choice: its name, or ``NAME=WHERE`` with the place of its weights: a file, or for a backbone
            of ``transformers`` a folder or a model of the hub.
        device: where to put it.
        stated: whether to refuse declarations that runs could not state.

    Raises:
        UserError: there is no such backbone, its weights are missing or do not fit, or its
            declarations are of other types.
    """
    name, _, where = choice.partition("=")
    known = backbones()
    if name not in known:
        raise unknown("backbone", name, known)
    cls = known[name]
    try:
        backbone, sha256 = cls.load(where) if issubclass(cls, Pretrained) else _shipped(cls, where)
        if stated:
            _check_stated(backbone)
        return LoadedBackbone(backbone.eval().to(device), sha256)
    except UserError:
        raise
    except Exception as error:  # of its own code
        raise UserError(f"backbone {choice} cannot be loaded: {in_words(error)}") from error


def _check_stated(backbone: Backbone) -> None:
    """Refuse declarations that runs could not state after their work."""
    for word, kind in {"revision": int, "pretraining": str}.items():
        if not is_of_kind(value := getattr(backbone, word, None), kind):
            said = f"{word} of backbone {backbone.name} is {value!r}"
            raise UserError(f"{said}; {kind_in_words(kind)}")
    spec = getattr(backbone, "input", None)
    try:
        Input(**asdict(spec))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"input of backbone {backbone.name} is {spec!r}; it is an InputSpec, of bench.backbone,"
            " with whole numbers frames and size, and tuples mean and std"
        ) from error


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


def with_preprocessing(
    loaded: LoadedBackbone, sampling: str | None, resize: str | None, decoder: str | None = None
) -> LoadedBackbone:
    """Return the backbone with another frame sampling, picture size, or video reader.

    The backbone's input size and normalisation do not change, and the centre is cropped.

    Args:
        loaded: the backbone, which stays unchanged and shares its weights with the result.
        sampling: see `episodes.decoding.sampling.frame_indices`; None for that of each method.
        resize: "256": the short side, keeping the aspect ratio; "256x340": height and width, to
            which frames are stretched; None for that of the backbone.
        decoder: the preferred video reader; None for the installed one.

    Raises:
        UserError: there is no such sampling or decoder, or the size is smaller than the input of
            the backbone or larger than `LARGEST`.
    """
    if decoder is not None:
        loaded = replace(loaded, decoder=chosen_decoder(decoder))
    if sampling is not None:
        loaded = replace(loaded, sampling=canonical(sampling))
    if resize is not None:
        backbone = copy(loaded.backbone)
        vars(backbone)["input"] = _resized(loaded.backbone.input, resize)
        loaded = replace(loaded, backbone=backbone)
    return loaded


def with_preprocessing_of(features: FeatureIdentity, loaded: LoadedBackbone) -> LoadedBackbone:
    """Return the backbone with the preprocessing that a run's features record."""
    resized = features.resized
    words = "x".join(map(str, resized)) if isinstance(resized, tuple) else resized
    return with_preprocessing(
        loaded, features.sampling, None if words is None else str(words), features.reader or None
    )


def _resized(spec: InputSpec, resize: str) -> CroppedInput:
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", resize)
    if not match:
        raise UserError(
            f"--resize {resize!r} is not a size; give the short side in pixels (256), or the height"
            " and width to which frames are stretched (256x256)"
        )
    short, width = int(match[1]), int(match[2] or match[1])
    if min(short, width) < spec.size:
        raise UserError(
            f"--resize {resize}: the backbone sees {spec.size} x {spec.size} pixels, cropped from"
            " the resized frame, which has to be at least as large"
        )
    if max(short, width) > LARGEST:
        raise UserError(
            f"--resize {resize}: a side has at most {LARGEST} pixels, of which the backbone sees"
            f" {spec.size}; choose a smaller size"
        )
    stated = asdict(spec) | {"resized": (short, width) if match[2] else short}
    return CroppedInput(**stated)
