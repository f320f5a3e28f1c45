"""Comparing our training steps with those of a method's authors.

A reference file holds three episodes, initial weights, and the results of the authors' code in
float64, stored as float32: losses, gradients, and the state after three optimiser steps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import methods.parity
from bench.conformance.parity import load_arrays
from bench.method import ConfiguredMethod
from bench.plugins.registry import built_in_methods, import_reproductions
from bench.reference import Golden
from bench.training.authors_steps import EPISODES, INPUTS, RetracedSteps, retrace
from episodes.errors import UserError
from methods.parity.training import AUTHORS_TRAINING, AuthorsTraining

Check = Literal["losses", "gradients", "trajectory", "float32 inputs", "float32 parameters"]
TOLERANCE = 1e-6
"""Relative tolerance in float64; the reference values are rounded to float32."""
FLOAT32_ALLOWANCE = 10
"""Tolerance in float32, in multiples of the deviation of the authors' own float32."""
NOTHING = 1e-9
"""A gradient below this fraction of the largest in the file is rounding: its true value is 0."""
STORED = 2.0**-24
"""Relative rounding error of a number stored as float32."""
NEEDED = (*INPUTS, "support_labels", "query_labels", "loss/total", "lr", "optimizer")


class Miss(NamedTuple):
    """The relative error of one quantity."""

    size: float
    where: str


@dataclass(frozen=True)
class TrainingResult:
    """The result of one check of a reference file."""

    file: str
    check: Check
    miss: float
    """Largest relative error; not finite where a value is missing or not a number."""
    allowed: float
    where: str
    """The quantity with that error."""
    ok: bool


def check_training(path: Path) -> list[TrainingResult]:
    """Retrace the steps of a reference file, in float64 and, for the gradients, in float32.

    Raises:
        UserError: the file cannot be read, holds no training steps, is not named after a method,
            or lacks a value that its method needs.
    """
    import_reproductions()
    arrays = load_arrays(path)
    if missing := [key for key in NEEDED if key not in arrays]:
        raise UserError(
            f"{path} holds no {', '.join(missing)}; a reference file of training steps has"
            f" {', '.join(NEEDED)} (tests/golden-training/README.md)"
        )
    golden, method = Golden(arrays), _method_of(path)
    authors = AUTHORS_TRAINING[method.cls.name]
    parameters = [key for key in arrays if _is_of_parameter(key)]
    videos = [f"grad/{key}" for key in INPUTS]
    inputs_allowed, parameters_allowed = _authors_float32(path, method)
    try:
        steps = retrace(golden, method, torch.float64)
        single = retrace(golden, method, torch.float32)
        checks: list[tuple[Check, list[Miss], float]] = [
            ("losses", _loss_misses(golden, authors, steps, 0), TOLERANCE),
            ("gradients", _gradient_misses(golden, steps, [*videos, *parameters]), TOLERANCE),
            ("trajectory", _trajectory_misses(golden, authors, steps), TOLERANCE),
            ("float32 inputs", _gradient_misses(golden, single, videos), inputs_allowed),
            (
                "float32 parameters",
                _gradient_misses(golden, single, parameters),
                parameters_allowed,
            ),
        ]
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} cannot be retraced with {method.name}: {error!r}") from error
    results = []
    for check, misses, allowed in checks:
        if misses:  # A method without parameters has none for their gradients.
            worst = max(misses, key=lambda miss: (not np.isfinite(miss.size), miss.size))
            ok = worst.size <= allowed
            results.append(TrainingResult(str(path), check, worst.size, allowed, worst.where, ok))
    return results


def _method_of(path: Path) -> ConfiguredMethod:
    """Return the method or variant that a file is named after: the longest name that fits."""
    methods = built_in_methods().values()
    known = {method.name: method for method in methods if method.cls.name in AUTHORS_TRAINING}
    found = [name for name in known if name in path.stem.replace("_", "-")]
    if not found:
        raise UserError(
            f"{path}: its name says no method whose training can be retraced; name it after one of"
            f" {', '.join(known)}, as in mastaf-nores_5w1s.npz"
        )
    return known[max(found, key=len)]


def _authors_float32(path: Path, method: ConfiguredMethod) -> tuple[float, float]:
    """Tolerances in float32 for the gradients of inputs and of parameters.

    They follow from the deviation of the authors' own float32; a file that is not in the table gets
    the largest deviation of its method.
    """
    table = pd.read_csv(Path(methods.parity.__path__[0]) / "float32.csv", index_col="file")
    own = table[table.index.str.startswith(method.cls.name)]
    largest = (table.loc[[path.stem]] if path.stem in table.index else own).max()
    allowed = FLOAT32_ALLOWANCE * largest
    return float(allowed["inputs"]), float(allowed["parameters"])


def _is_of_parameter(key: str) -> bool:
    """Whether a key holds the gradient of a parameter, or a summary of that gradient."""
    kind, *name = key.split("/")
    return kind.startswith("grad") and bool(name) and name[0] not in INPUTS


def _loss_misses(
    golden: Golden, authors: AuthorsTraining, steps: RetracedSteps, number: int
) -> list[Miss]:
    """Errors of the loss terms of an episode, and of their sum."""
    prefix, found = EPISODES[number], steps.terms[number]
    expected: dict[str, float] = {}
    for theirs, (ours, factor) in authors.terms.items():
        if f"{prefix}loss/{theirs}" in golden:
            weight = golden.number(factor) if factor else 1.0
            value = weight * golden.number(f"{prefix}loss/{theirs}")
            expected[ours] = expected.get(ours, 0.0) + value
    expected["total"] = golden.number(f"loss/step{number}")
    found = found | {"total": sum(found.values())}
    misses = []
    for name, value in expected.items():
        where = f"{prefix}loss/{name}"
        if name in found:
            misses.append(Miss(abs(found[name] - value) / (abs(value) or 1.0), where))
        else:
            misses.append(Miss(float("inf"), f"{where}, which our loss does not have"))
    return misses


def _gradient_misses(golden: Golden, steps: RetracedSteps, keys: Iterable[str]) -> list[Miss]:
    """Errors of gradients, each relative to its own largest entry."""
    stored = {key: golden.tensor(key).double() for key in keys}
    largest = max((float(one.abs().max()) for one in stored.values()), default=0.0)
    absent = {str(name) for name in np.atleast_1d(golden.arrays.get("grad_absent", []))}
    misses = []
    for key, theirs in stored.items():
        ours = steps.gradients.get(key)
        if ours is None and key.split("/", maxsplit=1)[1] in absent:
            continue  # The authors' loss does not depend on it, and we have no such part.
        size = float(theirs.abs().max())
        # Only rounding is stored for a gradient whose true value is 0: compare it with the others.
        scale = size if size > NOTHING * largest else largest
        misses.append(_tensor_miss(key, ours, theirs, scale))
    return misses


def _trajectory_misses(
    golden: Golden, authors: AuthorsTraining, steps: RetracedSteps
) -> list[Miss]:
    """Errors of the losses and gradients of later episodes, and of the final state."""
    later = [f"{prefix}grad/{key}" for prefix in EPISODES[1:] for key in INPUTS]
    misses = _gradient_misses(golden, steps, [key for key in later if key in golden])
    for number in range(1, len(EPISODES)):
        misses += _loss_misses(golden, authors, steps, number)
    for key, change in steps.changes.items():
        kind, name = key.split("/", maxsplit=1)
        if key in golden:
            stored = golden.tensor(key).double()
            misses.append(_tensor_miss(key, change, stored, float(stored.abs().max())))
        elif kind == "after_change" and f"after/{name}" in golden:
            start, after = (golden.tensor(f"{one}/{name}").double() for one in ("weight", "after"))
            # The stored state is rounded: a difference within its rounding error is none.
            beyond = (start + change - after).abs() - STORED * after.abs()
            size = float((after - start).abs().max()) or float(after.abs().max()) or 1.0
            misses.append(Miss(float(beyond.clamp(min=0).max()) / size, f"after/{name}"))
    return misses


def _tensor_miss(where: str, ours: Tensor | None, theirs: Tensor, scale: float) -> Miss:
    if ours is None:
        return Miss(float("inf"), f"{where}, which our method does not have")
    return Miss(float((ours.double() - theirs).abs().max()) / (scale or 1.0), where)
