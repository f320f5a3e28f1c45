"""Reference files, with which a method shows that it computes the same as its authors' code.

A reference file (``.npz``) holds inputs, weights and outputs of published code. For each method, a
file in `methods/parity/` has functions that reproduce those outputs with our code, marked with
`reproduces`, and maps the authors' names of parameters to ours with `authors_names`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.method import Method
from episodes.errors import UserError


class Golden:
    """The arrays of one reference file, in the shapes of the contract.

    Args:
        arrays: ``support`` (way * shot, ...), ``query`` (queries, ...), ``support_labels``
            (way * shot,) in 0..way-1, outputs and weights.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Hold the arrays; each is converted when it is used."""
        self.arrays = arrays
        labels = np.atleast_2d(np.asarray(arrays["support_labels"]).astype(np.int64))[0]
        self.way = int(labels.max()) + 1
        self.shot = len(labels) // self.way
        self.class_order = torch.from_numpy(np.argsort(labels, kind="stable"))
        """Rows of the stored support sorted by class, in stored order within a class."""

    def __contains__(self, key: str) -> bool:
        """Whether the file holds ``key``."""
        return key in self.arrays

    def tensor(self, key: str) -> Tensor:
        """Return an array as a tensor: floats as float32, integers as int64."""
        array = np.asarray(self.arrays[key])
        kind = torch.float32 if array.dtype.kind == "f" else torch.int64
        return torch.from_numpy(array.copy()).to(kind)

    def number(self, key: str) -> float:
        """Return a stored scalar."""
        return float(np.asarray(self.arrays[key]).reshape(()))

    def support(self) -> Tensor:
        """Return support features, (1, way, shot, ...), the shots of a class in stored order."""
        rows = self.tensor("support")[self.class_order]
        return rows.reshape(1, self.way, self.shot, *rows.shape[1:])

    def query(self) -> Tensor:
        """Return query features, (1, queries, ...)."""
        return self.tensor("query")[None]

    def weights(self, prefix: str) -> dict[str, Tensor]:
        """Return the weights whose keys start with ``prefix``, by the authors' names after it."""
        return {
            key.removeprefix(prefix): self.tensor(key)
            for key in self.arrays
            if key.startswith(prefix)
        }


Reproduce = Callable[[Golden, str], Tensor]
"""(file, name of the output) -> our value, in the stored shape."""


@dataclass(frozen=True)
class Reproduction:
    """A function that reproduces the outputs whose names fit ``pattern``."""

    pattern: str
    given: str
    unless: str
    tolerance: float
    compute: Reproduce

    def fits(self, golden: Golden, output: str) -> bool:
        """Whether it reproduces ``output`` of this file."""
        return (
            fnmatchcase(output, self.pattern)
            and (not self.given or self.given in golden)
            and (not self.unless or self.unless not in golden)
        )


REPRODUCTIONS: list[Reproduction] = []
"""Filled by importing the files of `methods/parity/`."""


def reproduces(
    *patterns: str, given: str = "", unless: str = "", tolerance: float = 1e-4
) -> Callable[[Reproduce], Reproduce]:
    """Mark a function as our computation of outputs of reference files.

    Args:
        patterns: names of outputs, with ``*`` for a part that varies.
        given: a key that the file must also hold, if several sources use the same name.
        unless: a key that the file must not hold.
        tolerance: largest absolute difference that counts as equal.
    """

    def mark(compute: Reproduce) -> Reproduce:
        REPRODUCTIONS.extend(
            Reproduction(pattern, given, unless, tolerance, compute) for pattern in patterns
        )
        return compute

    return mark


AUTHORS_NAMES: dict[str, Mapping[str, str]] = {}
"""Method -> authors' name of a parameter -> ours; filled like `REPRODUCTIONS`."""


def authors_names(method: type[Method], names: Mapping[str, str]) -> None:
    """Declare the authors' names of a method's parameters, so that their checkpoints can be loaded.

    Args:
        method: the class, including its variants.
        names: authors' name -> ours, for all settings. Several of their names may map to one of
            ours if code bases differ; a checkpoint has one of these.
    """
    AUTHORS_NAMES[method.name] = names


def names_of(method: Method) -> Mapping[str, str]:
    """Return authors' name -> ours for the parameters of a method; empty if not declared."""
    return AUTHORS_NAMES.get(method.name, {})


def adopt(method: Method, weights: Mapping[str, Tensor]) -> Method:
    """Load weights under their authors' names into a method, and return it in evaluation mode.

    Names that `authors_names` does not map are ignored, such as those of a backbone, and so are
    parts that a setting of the method switches off. A tensor of another shape but the same size is
    reshaped, since a 1 x 1 convolution is a linear map.

    Raises:
        UserError: a parameter of the method has no counterpart, or one of another size.
    """
    own = method.state_dict()
    theirs: dict[str, list[str]] = {}
    for name, ours in names_of(method).items():
        if ours in own:
            theirs.setdefault(ours, []).append(name)
    for ours, names in theirs.items():
        name = next((one for one in names if one in weights), names[0])
        if name not in weights or weights[name].numel() != own[ours].numel():
            found = tuple(weights[name].shape) if name in weights else "nothing"
            raise UserError(
                f"{method.name} needs {ours} of shape {tuple(own[ours].shape)}; under the authors'"
                f" name {name} the file has {found}: check that it belongs to this method"
            )
        own[ours] = weights[name].reshape(own[ours].shape)
    method.load_state_dict(own)
    return method.eval()
