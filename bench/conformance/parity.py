"""Comparing our computation of a published method with the outputs of its authors' code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.plugins.registry import import_reproductions
from bench.pretrained import UNREADABLE, check_unpacked
from bench.reference import REPRODUCTIONS, Golden
from episodes.errors import UserError

Arrays = Mapping[str, NDArray[Any]]
Status = Literal["ok", "NOT EQUAL", "not implemented", "error"]

GIVEN = (
    *("support", "query", "support_labels", "query_labels", "query_global_labels"),
    *("text", "text_train"),
)
"""Top-level keys that hold an episode's videos and labels."""
CONSTANTS = (
    *("alpha", "cosine_epsilon", "global_weight", "lambda", "lamda", "motion_weight", "nn_weight"),
    *("pe_scale", "permutations", "position_a", "position_b", "scale", "sigma", "temperature"),
    *("text_coff", "transductive_fraction"),
)
"""Names of settings, as ``name`` for a whole file or as ``method/name``; with more parts, the same
name is an output (``ata/iter50/scale`` was fitted)."""
WEIGHTS = "weight"
"""Part of a key before the name of a trained weight."""
FITTED_HEADS = ("initial.", "final.")
"""Prefixes of the weights of heads fitted in the episode, before and after fitting."""


@dataclass(frozen=True)
class ParityResult:
    """The comparison of one output of a reference file."""

    file: str
    output: str
    shape: tuple[int, ...]
    difference: float | None = None
    """Largest absolute difference; None if nothing was computed or it is not finite."""
    tolerance: float = 0.0
    """Largest absolute difference that counts as equal."""
    status: Status = "ok"
    reason: str = ""
    """Why it is not "ok", in words."""
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        """Set ``ok``, so that `dataclasses.asdict` includes it."""
        object.__setattr__(self, "ok", self.status == "ok")


def check(path: Path) -> list[ParityResult]:
    """Recompute every output of a reference file and compare.

    Any array that is not a known input, label, weight or constant is an output; an unknown one is
    listed as "not implemented", never passed over.

    Raises:
        UserError: the file cannot be read, or holds no episode.
    """
    import_reproductions()
    arrays = load_arrays(path)
    golden = _episode(arrays, path)
    return [_compared(golden, output, path) for output in outputs(arrays)]


def exit_status(results: Iterable[ParityResult]) -> int:
    """0: all computed outputs are equal; 1: one is not; 2: none could be computed."""
    found = {result.status for result in results}
    if found & {"NOT EQUAL", "error"}:
        return 1
    return 0 if "ok" in found else 2


def outputs(arrays: Iterable[str]) -> list[str]:
    """Return the keys that hold outputs, in the order of the file.

    >>> outputs(["support", "scale", "ata/iter5/scale", "ata/iter5/scores", "molo/weight/scale"])
    ['ata/iter5/scale', 'ata/iter5/scores']
    """
    return [key for key in arrays if not _is_given(key)]


def _is_given(key: str) -> bool:
    *parents, name = key.split("/")
    if WEIGHTS in parents or name.startswith(FITTED_HEADS):
        return True
    return key in GIVEN or (name in CONSTANTS and len(parents) <= 1)


def load_arrays(path: Path) -> Arrays:
    """Read all arrays of a ``.npz`` file without pickle.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    try:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; a reference file ends in .npz") from None
    except UNREADABLE as error:
        raise UserError(
            f"{path} is not an intact .npz file of plain numbers ({error}); copy it again"
        ) from error


def _episode(arrays: Arrays, path: Path) -> Golden:
    """Return the episode of a reference file after checking its labels."""
    missing = [key for key in GIVEN[:3] if key not in arrays]
    if missing:
        raise UserError(
            f"{path} holds no {', '.join(missing)}; a reference file has support, query and"
            " support_labels"
        )
    labels, counts = np.unique(arrays["support_labels"], return_counts=True)
    rows = np.shape(arrays["support"])[:1]
    regular = len(labels) and (labels == np.arange(len(labels))).all() and np.ptp(counts) == 0
    if not regular or (counts.sum(),) != rows:
        found = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        raise UserError(
            f"{path}: support_labels has the counts {found} for support of shape"
            f" {np.shape(arrays['support'])}; each class 0..way-1 must have the same number"
        )
    return Golden(arrays)


def _compared(golden: Golden, output: str, path: Path) -> ParityResult:
    """Recompute one output with the one reproduction registered for it, and compare."""
    theirs = np.asarray(golden.arrays[output])
    result = partial(ParityResult, str(path), output, theirs.shape)
    fitting = {one.compute: one for one in REPRODUCTIONS if one.fits(golden, output)}
    if not fitting:
        return result(status="not implemented", reason="no reproduction of it is registered")
    if len(fitting) > 1:
        names = ", ".join(f"{compute.__module__}.{compute.__name__}" for compute in fitting)
        return result(status="error", reason=f"several reproductions of it are registered: {names}")
    ((compute, reproduction),) = fitting.items()
    tolerance = reproduction.tolerance
    try:
        # Random draws of a reproduction leave the caller's generator alone.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            ours = compute(golden, output).detach().cpu().double().numpy()
        difference, reason = _difference(ours, theirs.astype(np.float64), tolerance)
    except Exception as error:  # any error of a method's file is a result like any other
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return result(tolerance=tolerance, status="error", reason=f"{kind}{error}")
    return result(difference, tolerance, "NOT EQUAL" if reason else "ok", reason)


def _difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float
) -> tuple[float | None, str]:
    """Return the largest absolute difference, if finite, and why it is too large, if it is."""
    if ours.shape != theirs.shape:
        return None, f"shape {ours.shape} instead of {theirs.shape}"
    # Infinities on both sides are equal, though their difference is not a number.
    with np.errstate(invalid="ignore"):
        gaps = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
    if not np.isfinite(gaps).all():
        bad = np.count_nonzero(~np.isfinite(gaps))
        return None, f"{bad} of {gaps.size} numbers are not finite"
    difference = float(gaps.max(initial=0.0))
    too_large = difference > tolerance
    return difference, f"differs by {difference:.2g}, more than {tolerance:g}" if too_large else ""
