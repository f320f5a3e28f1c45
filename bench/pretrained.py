"""The contract of a backbone whose weights do not come with the program, and how files are read.

Weights are tensors by name; no file of them may run code.
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
    """An input cut out of a larger picture, as most published weights want it.

    Args:
        resized: the short side before the centre is cut out, the aspect kept; or height and width,
            to which the picture is stretched.
    """

    resized: int | tuple[int, int] = 256


def prepared(frames: Tensor, spec: InputSpec) -> Tensor:
    """Resize, crop and normalise decoded frames, as `bench.backbone.normalised` does.

    Args:
        frames: uint8 (videos, frames, height, width, 3), RGB.
        spec: what the backbone wants.

    Returns:
        float32 (videos, 3, frames, size, size).
    """
    if isinstance(spec, CroppedInput):
        frames = _cropped(frames, spec)
    return normalised(frames, spec)


def _cropped(frames: Tensor, spec: CroppedInput) -> Tensor:
    """Resize to a larger picture and cut out its centre: (videos, frames, size, size, 3)."""
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
    """A backbone that a user brings weights for, or installs a package with.

    A subclass implements `load`. What depends on the weights (input, grid, channels, what they
    have seen) it states with `declare`; the class itself states what is usual.
    """

    weights: ClassVar[str]
    """Where weights come from, in words."""
    seen: tuple[str, ...] | None = None
    """Data sets whose labels the weights have seen; None if that is not known."""

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone with weights.

        Args:
            where: what a user writes behind ``NAME=``; empty if nothing.

        Returns:
            the backbone, and the hash of its weights.

        Raises:
            UserError: no weights there, or none of this backbone.
        """
        raise NotImplementedError

    @classmethod
    def present(cls) -> bool:
        """Whether the backbone can be used without naming weights; nothing is fetched."""
        return False

    def declare(self, **values: object) -> None:
        """State what this instance's weights decide, in place of what the class says."""
        unknown = values.keys() - {"input", "grid", "channels", "pretraining", "seen"}
        if unknown:
            raise TypeError(f"a backbone declares no {', '.join(sorted(unknown))}")
        vars(self).update(values)


class FromFile(Pretrained):
    """A backbone whose weights lie in one file of tensors by name."""

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone with the weights of a file."""
        path = Path(where).expanduser() if where else cls.default_file()
        weights = read_weights(path)
        backbone = cls.built_for(weights)
        backbone.adopt(weights, path)
        return backbone, hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def default_file(cls) -> Path:
        """Return where the weights lie if the user names no place.

        Raises:
            UserError: nowhere.
        """
        raise UserError(f"backbone {cls.name} needs weights: {cls.weights}")

    @classmethod
    def built_for(cls, weights: Mapping[str, Tensor]) -> Self:
        """Build the network that weights belong to, without them."""
        return cls()

    def adopt(self, weights: Mapping[str, Tensor], path: Path) -> None:
        """Take the weights that the network has a name for; heads of classifiers are left.

        Raises:
            UserError: some are missing, or have another shape.
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
    """Hash of tensors by name, however they are kept in files."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\n{array.dtype}\n{tuple(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model")
"""Keys under which training scripts put the weights beside other things."""
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, MemoryError, OverflowError, struct.error, safetensors.SafetensorError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What torch, safetensors and numpy raise of files with flipped bits, and of other kinds."""
MOST_BYTES = 4 << 30
"""Of arrays in an archive, unpacked, unless the archive itself is large:"""
MOST_GROWTH = 20
"""times its own size it may unpack to. Features hardly shrink, zeros a thousandfold."""
WRAPPERS = ("module.",)
"""What wrapping a model for several GPUs puts before every name."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a flat mapping of names to tensors, without ever running code from the file.

    Raises:
        UserError: the file is missing, holds something else, or needs pickle.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and reading it could run code of whoever"
            " made it. In the environment that made it, save the weights alone:"
            " `torch.save(model.state_dict(), 'weights.pt')`"
        ) from error
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return _unwrapped(content, path)


def check_unpacked(path: Path) -> None:
    """Refuse an archive of arrays that would take the memory when it is unpacked.

    Raises:
        ValueError: it is too large.
        zipfile.BadZipFile: it is not an archive.
    """
    with zipfile.ZipFile(path) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > (most := max(MOST_BYTES, MOST_GROWTH * path.stat().st_size)):
        raise ValueError(f"it would unpack to {size:,} bytes; there are at most {most:,}")


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """Find the tensors in what a training script saved."""
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
    """Write tensors to a file that is there as a whole or not at all.

    Raises:
        OSError: it cannot be written, most often because the disk is full.
    """
    with replacing(path) as unfinished:
        try:
            safetensors.torch.save_file(dict(tensors), unfinished)
        except safetensors.SafetensorError as error:  # what the system said is in its words alone
            raise OSError(errno.EIO, str(error), str(path)) from error
