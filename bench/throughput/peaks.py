"""What the device itself can do: the measure that stages are held against."""

from dataclasses import dataclass
from functools import cache

import torch

from bench.throughput.timing import repeated

SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices whose product is timed: large enough for the peak."""
COPIED = {"cpu": 256 << 20, "cuda": 2 << 30}
"""Bytes copied: more than caches hold."""
REPEATS = 5
MOST = 1 << 12


@dataclass(frozen=True)
class Peaks:
    """Measured, not looked up: of this device, in float32, with as many threads as are set."""

    flop_per_s: float
    """Of a product of two large square matrices."""
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
