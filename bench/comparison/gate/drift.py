"""What differs between a run and its baseline, and whether they can be compared at all."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bench.runs.by_method import DRAWN, MethodRuns, have_the_same_queries
from bench.runs.run import Run

MUST_AGREE = ("bank", "episodes", "bank_sha256", "dtype")
"""Fields of identity that must agree, or there is nothing to compare."""
CODE = ("source_sha256", "features.source_sha256", "revision", "harness")
"""Fields of identity that may change, since a gate judges changes of code; they are reported."""
OF_FILES = ("videos_sha256", "features.decoder")
"""Fields of identity that say how pixels were read from files."""
MACHINE = ("computer", "device", "machine", "threads")
"""Speeds are comparable if all these circumstances are known and the same."""
LEAST_SECONDS = 1.0
"""Seconds: a speed that was timed for less is not judged."""


def not_comparable(before: MethodRuns, after: MethodRuns) -> str:
    """Say why two runs cannot be compared; empty if they can."""
    for name in MUST_AGREE:
        one, other = (getattr(side.first.identity, name) for side in (before, after))
        if one != other:
            return f"{name} is {_short(one)} in the baseline and {_short(other)} in the run"
    sizes = {len(run.rows) for one in (before, after) for run in one.runs}
    if len(sizes) > 1:
        least, most = min(sizes), max(sizes)
        return f"there are {least:,} rows and {most:,} rows of the same bank; run it again"
    if not have_the_same_queries(before.first, after.first):
        return "rows have other queries or labels than in the baseline; run it again"
    if before.first.identity.episodes < 2:
        return "a single episode has no interval"
    return ""


def differences(before: MethodRuns, after: MethodRuns) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fields of identity that both sides state and that differ: name, value before, value after.

    Files of the rendered data set and their reader are left out: bytes depend on the encoder of
    this machine, but pixels do not, since they are encoded without loss. Given features have no
    pixels.

    Returns:
        drift, which changes the question of the comparison; and differences of code.
    """
    drift: set[str] = set()
    code: set[str] = set()
    of_seeds: tuple[str, ...] = ()
    if before.seeds != after.seeds:
        seeds = [", ".join(map(str, one.seeds)) or "none" for one in (before, after)]
        drift.add(f"training.seed: {' → '.join(seeds)}")
        of_seeds = ("training.seed", "weights_sha256")
        if before.training is not None and before.training.backbone == "tuned":
            of_seeds += ("features.weights_sha256",)  # those of the method and its backbone
    for one, other in zip(before.runs, after.runs, strict=False):
        stated = (_flat(run.identity.content()) for run in (one, other))
        old, new = ({"harness": 1} | dict(fields) for fields in stated)
        for path in old.keys() & new.keys():
            drawn = old.get("dataset") == DRAWN and not old.get("features.given")
            same_pixels = path in OF_FILES and drawn
            if old[path] != new[path] and not same_pixels and path not in of_seeds:
                text = f"{path}: {_short(old[path])} → {_short(new[path])}"
                (code if path in CODE else drift).add(text)
    return tuple(sorted(drift)), tuple(sorted(code))


def _short(value: object) -> str:
    """A value in words, a hash by its beginning."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", str(value))


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def speeds_compare(before: Run, after: Run) -> bool:
    """Whether speeds can be compared: same known machine and device, timed for long enough.

    A speed of 0 was not timed.
    """
    machines = [[getattr(run.circumstances, field) for field in MACHINE] for run in (before, after)]
    if machines[0] != machines[1] or None in machines[0]:
        return False
    return all(
        run.identity.episodes >= LEAST_SECONDS * run.cost.score_episodes_per_s > 0
        for run in (before, after)
    )
