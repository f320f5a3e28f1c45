"""The contract of a backbone whose weights are not shipped, and reading files of weights.

Weights are tensors by name; reading a file never runs code from it.
"""

import errno
import hashlib
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.backbone import Backbone, InputSpec, normalised
from episodes.atomic import replacing
from episodes.errors import UserError


@dataclass(frozen=True)
class CroppedInput(InputSpec):
    """An input cropped from a larger frame, as most published weights expect it.

    Args:
        resized: the short side before the centre is cropped, keeping the aspect ratio; or height
            and width, to which the frame is stretched.
    """

    resized: int | tuple[int, int] = 256


def prepared(frames: Tensor, spec: InputSpec) -> Tensor:
    """Resize, crop and normalise decoded frames, as `bench.backbone.normalised` does.

    Args:
        frames: uint8 (videos, frames, height, width, 3), RGB.
        spec: the input of the backbone.

    Returns:
        float32 (videos, 3, frames, size, size).
    """
    if isinstance(spec, CroppedInput):
        frames = _cropped(frames, spec)
    return normalised(frames, spec)


def _cropped(frames: Tensor, spec: CroppedInput) -> Tensor:
    """Resize frames and crop the centre: (videos, frames, size, size, 3)."""
    images = frames.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32)
    images = nn.functional.interpolate(
        images, _shape(images, spec.resized), mode="bilinear", antialias=True
    )
    top, left = ((length - spec.size) // 2 for length in images.shape[-2:])
    images = images[..., top : top + spec.size, left : left + spec.size]
    return images.permute(0, 2, 3, 1).reshape(*frames.shape[:2], spec.size, spec.size, 3)


def _shape(images: Tensor, resized: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(resized, tuple):
        return resized
    height, width = images.shape[-2:]
    short = min(height, width)
    return round(height * resized / short), round(width * resized / short)


class Pretrained(Backbone):
    """A backbone whose weights come from the user or from another package.

    A subclass implements `load`. It states whatever depends on the weights (input, grid, channels,
    pretraining, seen) with `declare`; the class itself states the usual values.
    """

    weights: ClassVar[str]
    """Where weights come from, in words."""
    seen: tuple[str, ...] | None = None
    """Data sets whose labels the weights have seen; None if unknown."""

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone with weights.

        Args:
            where: the user's text after ``NAME=``, or an empty string.

        Returns:
            the backbone, and the hash of its weights.

        Raises:
            UserError: there are no weights, or not those of this backbone.
        """
        raise NotImplementedError

    @classmethod
    def present(cls) -> bool:
        """Whether the backbone can be used without naming weights; nothing is downloaded."""
        return False

    def declare(self, **values: object) -> None:
        """Set what the weights of this instance determine, overriding the class."""
        unknown = values.keys() - {"input", "grid", "channels", "pretraining", "seen"}
        if unknown:
            raise TypeError(f"a backbone declares no {', '.join(sorted(unknown))}")
        vars(self).update(values)


class FromFile(Pretrained):
    """A backbone whose weights are in one file of tensors by name."""

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone with the weights in a file."""
        path = Path(where).expanduser() if where else cls.default_file()
        weights = read_weights(path)
        backbone = cls.built_for(weights)
        backbone.adopt(weights, path)
        return backbone, hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def default_file(cls) -> Path:
        """Return the path of the weights if the user names none.

        Raises:
            UserError: there is no such path.
        """
        raise UserError(f"backbone {cls.name} needs weights: {cls.weights}")

    @classmethod
    def built_for(cls, weights: Mapping[str, Tensor]) -> Self:
        """Build the network that fits the weights, without loading them."""
        return cls()

    def adopt(self, weights: Mapping[str, Tensor], path: Path) -> None:
        """Load the weights of the network's own parameters; classifier heads are ignored.

        Raises:
            UserError: weights are missing, or have another shape.
        """
        own = self.state_dict()
        missing = sorted(own.keys() - weights.keys())
        if missing:
            raise UserError(
                f"{path} does not hold weights of {self.name}: {', '.join(missing[:3])} is missing"
                f" ({len(missing)} of {len(own)}); check that it belongs to this backbone"
            )
        try:
            self.load_state_dict({name: weights[name] for name in own})
        except RuntimeError as error:
            raise UserError(f"{path} does not fit {self.name}: {error}") from error


def content_sha256(weights: Mapping[str, Tensor]) -> str:
    """Hash tensors by name, independently of the format of their file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\n{array.dtype}\n{tuple(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model")
"""Keys under which training scripts store weights beside other objects."""
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, MemoryError, OverflowError, struct.error, safetensors.SafetensorError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Errors that torch, safetensors and numpy raise for damaged files and for other formats."""
MOST_BYTES = 4 << 30
"""Size up to which any archive of arrays may unpack."""
MOST_GROWTH = 20
"""Factor by which a larger archive may grow; features hardly shrink, but zeros a thousandfold."""
WRAPPERS = ("module.",)
"""Prefixes that wrapping a model for several GPUs adds to every name."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a flat mapping of names to tensors, without running code from the file.

    Raises:
        UserError: the file is missing, holds no tensors by name, or needs pickle.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and reading it could run code of whoever made it. In"
            " the environment that made it, save the weights alone: `torch.save(model.state_dict(),"
            " 'weights.pt')`"
        ) from error
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return _unwrapped(content, path)


def check_unpacked(path: Path) -> None:
    """Refuse an archive of arrays that would exhaust the memory when unpacked.

    Raises:
        ValueError: it is too large.
        zipfile.BadZipFile: it is not an archive.
    """
    with zipfile.ZipFile(path) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > (most := max(MOST_BYTES, MOST_GROWTH * path.stat().st_size)):
        raise ValueError(f"it would unpack to {size:,} bytes; there are at most {most:,}")


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """Find the weights in what a training script saved."""
    if isinstance(content, Mapping):
        for key in CONTAINERS:
            if isinstance(content.get(key), Mapping):
                return _unwrapped(content[key], path)
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return {_bare(name): value for name, value in tensors.items()}
    raise UserError(f"{path} holds no tensors by name; save `model.state_dict()`")


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file, completely or not at all.

    Raises:
        OSError: it cannot be written, most often because the disk is full.
    """
    with replacing(path) as unfinished:
        try:
            safetensors.torch.save_file(dict(tensors), unfinished)
        except safetensors.SafetensorError as error:  # the system's error is only in its text
            raise OSError(errno.EIO, str(error), str(path)) from error
