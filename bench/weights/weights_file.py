"""Files of weights: tensors by name, and never code."""

import errno
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from episodes.atomic import replacing
from episodes.errors import UserError

CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model")
"""Keys under which training scripts put the weights beside other things."""
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, MemoryError, OverflowError, struct.error, safetensors.SafetensorError),
)
"""What torch and safetensors raise of files with flipped bits."""
MOST_BYTES = 4 << 30
"""Of arrays in an archive, unpacked."""
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
        zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(path) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"it would unpack to {size:,} bytes; there are at most {MOST_BYTES:,}")


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
