"""Repeated timings on a device, and its peak rates, with which stages are compared."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from bench.machine.device import Stopwatch

LEAST_SECONDS = 0.1
"""A repeat lasts at least this long, unless there is not enough to do: less would be noise."""


@dataclass(frozen=True)
class Timing:
    """Seconds that one unit of work took: a clip, an episode."""

    median: float
    quartiles: tuple[float, float]
    repeats: int
    units: int
    """Units of work in each repeat."""


def repeated(
    work: Callable[[int], object], most: int, repeats: int, device: torch.device, each: int = 1
) -> Timing:
    """Time ``work(batches)``, after a warm-up, with as many batches as a repeat needs.

    Args:
        work: does this number of batches, from the first.
        most: number of batches that there are, at least 1.
        repeats: number of timings.
        device: where it computes; a timing ends when the device has finished.
        each: units of work in a batch.
    """

    def timed(batches: int) -> float:
        with Stopwatch(device) as watch:
            work(batches)
        return watch.seconds

    work(1)
    batches = 1
    while batches < most and (tried := timed(batches)) < LEAST_SECONDS:
        enough = math.ceil(batches * LEAST_SECONDS / max(tried, 1e-6))
        batches = min(most, max(2 * batches, enough))
    units = batches * each
    seconds = np.array([timed(batches) for _ in range(repeats)]) / units
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return Timing(float(median), (float(low), float(high)), repeats, units)


SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices that are multiplied: large enough for the peak."""
COPIED = {"cpu": 256 << 20, "cuda": 2 << 30}
"""Bytes copied: more than caches hold."""
REPEATS = 5
MOST = 1 << 12


@dataclass(frozen=True)
class Peaks:
    """Peak rates of this device as measured, in float32, with the number of threads that is set."""

    flop_per_s: float
    """Speed of a product of two large square matrices."""
    copy_bytes_per_s: float
    """Read and written, by a copy."""


@cache
def measured_peaks(device: torch.device) -> Peaks:
    """Measure the device's peaks, once in a process."""
    return Peaks(_product_rate(device), _copy_rate(device))


def _product_rate(device: torch.device) -> float:
    side = SIDE[device.type]
    left, right = torch.rand(2, side, side, device=device).unbind()
    out = torch.empty_like(left)

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(left, right, out=out)

    return 2 * side**3 / repeated(multiply, MOST, REPEATS, device).median


def _copy_rate(device: torch.device) -> float:
    source = torch.ones(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy(times: int) -> None:
        for _ in range(times):
            target.copy_(source)

    return 2 * len(source) / repeated(copy, MOST, REPEATS, device).median
