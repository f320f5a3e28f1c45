"""Measuring one method, from its entry to its records."""

import torch

from bench.machine.device import keep_freed_memory
from bench.method import Entry
from bench.throughput.peaks import measured_peaks
from bench.throughput.plan import Sizes
from bench.throughput.record import Record, records
from bench.throughput.stages import Bench, measure


@torch.no_grad()
def measured(
    entry: Entry,
    sizes: Sizes,
    device: torch.device,
    batch_size: int,
    repeats: int,
) -> list[Record]:
    """Measure a method in this process; one record for each stage."""
    keep_freed_memory()
    peaks = measured_peaks(device)
    bench = Bench(entry, sizes, device, batch_size)
    return records(entry, bench, measure(bench, repeats), peaks)
