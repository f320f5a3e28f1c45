"""Comparing our computation of a published method with the numbers its authors' code gave."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.plugins.registry import import_reproductions
from bench.pretrained import UNREADABLE, check_unpacked
from bench.reference import REPRODUCTIONS, Golden, Reproduction
from episodes.errors import UserError

Arrays = Mapping[str, NDArray[Any]]
Status = Literal["ok", "NOT EQUAL", "not implemented", "error"]

GIVEN = (
    *("support", "query", "support_labels", "query_labels", "query_global_labels"),
    *("text", "text_train"),
)
"""Top-level keys that hold an episode's videos and labels."""
CONSTANTS = (
    "alpha",
    "cosine_epsilon",
    "global_weight",
    "lambda",
    "lamda",
    "motion_weight",
    "nn_weight",
    "pe_scale",
    "permutations",
    "position_a",
    "position_b",
    "scale",
    "sigma",
    "temperature",
    "text_coff",
    "transductive_fraction",
)
"""Names of settings, as ``name`` for a whole file or as ``method/name``; deeper down, the same
name is a result (``ata/iter50/scale`` was fitted)."""
WEIGHTS = "weight"
"""Part of a key that marks what follows as a trained weight."""
FITTED_HEADS = ("initial.", "final.")
"""How weights of heads that are fitted in the episode begin, before and after."""


@dataclass(frozen=True)
class ParityResult:
    """What became of one output of a reference file."""

    file: str
    output: str
    shape: tuple[int, ...]
    difference: float | None
    """Largest absolute difference; none where nothing was computed or it is not finite."""
    tolerance: float
    """Largest absolute difference that counts as equal."""
    status: Status
    reason: str
    """Why it is not "ok", in words."""
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        """Derive ``ok``, so that `dataclasses.asdict` holds it too."""
        object.__setattr__(self, "ok", self.status == "ok")


def check(path: Path) -> list[ParityResult]:
    """Recompute every output of a reference file and compare.

    An output is any array that is not known to be an input, a label, a weight or a constant; so
    one that nobody foresaw is listed as "not implemented", never passed over.

    Raises:
        UserError: the file cannot be read, or holds no episode.
    """
    import_reproductions()
    arrays = load_arrays(path)
    golden = _episode(arrays, path)
    return [_check_output(golden, output, path) for output in outputs(arrays)]


def exit_status(results: Iterable[ParityResult]) -> int:
    """0: all that was computed is equal; 1: something is not; 2: nothing could be computed."""
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
    """Read all arrays of a ``.npz`` file, running nothing that it may contain."""
    try:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; a reference file ends in .npz") from None
    except UNREADABLE as error:
        raise UserError(
            f"{path} is not a whole .npz file of plain numbers ({error}); copy it anew"
        ) from error


def _episode(arrays: Arrays, path: Path) -> Golden:
    """Return the episode of a reference file, after a look at what every file must hold."""
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
            f"{path}: support_labels count {found} for support of shape"
            f" {np.shape(arrays['support'])}; each class 0..way-1 must have the same number"
        )
    return Golden(arrays)


class _Verdict(NamedTuple):
    """What `ParityResult` says beyond the output's name and shape."""

    status: Status
    difference: float | None = None
    tolerance: float = 0.0
    reason: str = ""


def _check_output(golden: Golden, output: str, path: Path) -> ParityResult:
    verdict = _judge(golden, output)
    shape = np.shape(golden.arrays[output])
    return ParityResult(
        str(path),
        output,
        shape,
        verdict.difference,
        verdict.tolerance,
        verdict.status,
        verdict.reason,
    )


def _judge(golden: Golden, output: str) -> _Verdict:
    """Recompute one output in the one registered way, if there is one."""
    ways = {way.compute: way for way in REPRODUCTIONS if way.fits(golden, output)}
    if not ways:
        return _Verdict("not implemented", reason="no reproduction of it is registered")
    if len(ways) > 1:
        names = ", ".join(f"{compute.__module__}.{compute.__name__}" for compute in ways)
        return _Verdict("error", reason=f"several reproductions of it are registered: {names}")
    (way,) = ways.values()
    try:
        ours = _recompute(way, golden, output)
        theirs = np.asarray(golden.arrays[output]).astype(np.float64)
    except Exception as error:  # whatever a method's file raises is a result like any other
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return _Verdict("error", tolerance=way.tolerance, reason=f"{kind}{error}")
    return _compare(ours, theirs, way.tolerance)


def _recompute(way: Reproduction, golden: Golden, output: str) -> NDArray[np.float64]:
    """Run a reproduction; what it draws at random does not disturb the caller's generator."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return way.compute(golden, output).detach().cpu().double().numpy()


def _compare(ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float) -> _Verdict:
    if ours.shape != theirs.shape:
        reason = f"shape {ours.shape} instead of {theirs.shape}"
        return _Verdict("NOT EQUAL", None, tolerance, reason)
    # Infinities on both sides are equal, though their difference is not a number.
    with np.errstate(invalid="ignore"):
        gaps = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
    difference = float(gaps.max(initial=0.0))
    if not np.isfinite(gaps).all():
        reason = f"{np.count_nonzero(~np.isfinite(gaps))} of {gaps.size} numbers are not finite"
        return _Verdict("NOT EQUAL", None, tolerance, reason)
    if difference > tolerance:
        reason = f"differs by {difference:.2g}, more than {tolerance:g}"
        return _Verdict("NOT EQUAL", difference, tolerance, reason)
    return _Verdict("ok", difference, tolerance)
