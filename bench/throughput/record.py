"""Measure methods, here or in processes of their own; their records, and a table of them."""

import json
import platform
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch
from tabulate import tabulate

from bench.machine.device import (
    describe_device,
    driver_version,
    forget_peak_memory,
    keep_freed_memory,
    peak_memory,
)
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod
from bench.settings import Form
from bench.throughput.peaks import Peaks, measured_peaks
from bench.throughput.plan import Sizes
from bench.throughput.stages import Stage, Workload, measure
from episodes.errors import UserError
from episodes.schema import Model, parsed


class StageSpeed(Model):
    """Speed of one stage of a method: a row of ``fvbench throughput --json``."""

    stage: str
    """The stage: encode, adapt, score, or total."""
    clips_per_s: float | None = None
    """Median speed, if the stage is encode."""
    episodes_per_s: float | None = None
    """Median speed, if it is another stage."""
    quartiles_per_s: tuple[float, float]
    """Lower and upper quartile of the speed."""
    repeats: int
    """Number of timings."""
    clips_in_a_repeat: int | None = None
    """Clips in one timing of encode."""
    episodes_in_a_repeat: int | None = None
    """Episodes in one timing of another stage."""
    flop: float
    """Floating-point operations for one clip or episode."""
    of_product_peak: float
    """Fraction of the speed of a matrix product on this device."""
    of_copy_peak: float
    """Fraction of the speed of a copy on this device."""
    method: str
    """Name of the method."""
    revision: int
    """Revision of the method."""
    form: Form | None = None
    """The form of the code that ran, the paper's or the faster one; older files do not say."""
    dtype: str
    """Type of the numbers."""
    device: str
    """Type of device."""
    threads: int
    """Number of torch's threads."""
    features: tuple[int, int, int, int]
    """Shape of the features: channels, and positions in time, height and width."""
    videos: int
    """Number of distinct videos."""
    way: int
    """Classes of an episode."""
    shot: int
    """Support videos of each class."""
    queries: int
    """Queries of an episode, of all classes."""
    batch_size: int
    """Episodes scored at once."""
    peak_memory_bytes: int
    """Peak memory."""
    product_peak_flop_per_s: float
    """Peak FLOP/s, as measured by a matrix product."""
    copy_peak_bytes_per_s: float
    """Peak bandwidth, as measured by a copy."""
    device_name: str
    """Name of the device."""
    machine: str
    """Architecture and system."""
    driver: str | None
    """Version of the GPU's driver."""
    cuda: str | None
    """Version of CUDA, on a GPU."""
    torch: str
    """Version of torch."""


class StageSpeeds(Model):
    """A file of records."""

    rows: list[StageSpeed]
    """A row for each method and stage."""


def _record(
    stage: Stage, method: ConfiguredMethod, workload: Workload, memory: int, peaks: Peaks
) -> StageSpeed:
    timing, sizes, device = stage.timing, workload.sizes, workload.device
    low, high = timing.quartiles
    on_gpu = device.type == "cuda"
    rates: dict[str, Any] = {
        f"{stage.unit}_per_s": 1 / timing.median,
        f"{stage.unit}_in_a_repeat": timing.units,
    }
    return StageSpeed(
        **rates,
        stage=stage.name,
        quartiles_per_s=(1 / high, 1 / low),
        repeats=timing.repeats,
        flop=stage.flop,
        of_product_peak=stage.flop / timing.median / peaks.flop_per_s,
        of_copy_peak=stage.bytes_moved / timing.median / peaks.copy_bytes_per_s,
        method=method.name,
        revision=method.cls.revision,
        form=method.form,
        dtype="float32",
        device=device.type,
        threads=torch.get_num_threads(),
        features=(*sizes.features,),
        videos=sizes.videos,
        way=sizes.way,
        shot=sizes.shot,
        queries=sizes.queries,
        batch_size=workload.batch_size,
        peak_memory_bytes=memory,
        product_peak_flop_per_s=peaks.flop_per_s,
        copy_peak_bytes_per_s=peaks.copy_bytes_per_s,
        device_name=describe_device(device),
        machine=f"{platform.machine()} {platform.system()}",
        driver=driver_version() if on_gpu else None,
        cuda=torch.version.cuda if on_gpu else None,
        torch=torch.__version__,
    )


def as_table(records: Sequence[StageSpeed]) -> str:
    """Return a table with a line for each method and stage."""

    def number(rate: float) -> str:
        return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"

    def line(record: StageSpeed) -> list[str]:
        unit = "clips" if record.clips_per_s is not None else "episodes"
        low, high = record.quartiles_per_s
        return [
            record.method,
            record.stage,
            f"{number(record.clips_per_s or record.episodes_per_s or 0.0)} {unit}",
            f"{number(low)} to {number(high)}",
            f"{100 * record.of_product_peak:.0f} %",
            f"{100 * record.of_copy_peak:.0f} %",
        ]

    body = tabulate(
        map(line, records),
        headers=["method", "stage", "per second", "quartiles", "of product peak", "of copy peak"],
        tablefmt="rounded_outline",
        disable_numparse=True,
        colalign=["left", "left", "right", "right", "right", "right"],
    )
    first = records[0]
    caption = (
        f"{first.way}-way {first.shot}-shot, {first.queries} queries, features"
        f" {' x '.join(map(str, first.features))} of {first.videos} videos,"
        f" {first.dtype}, {first.device_name}, batches of {first.batch_size};"
        f" medians and quartiles of {first.repeats} repeats.\n"
        "total: 10,000 episodes and encoding all videos, per episode. Peaks measured here:"
        f" {first.product_peak_flop_per_s / 1e9:,.0f} GFLOP/s in a product of matrices,"
        f" {first.copy_peak_bytes_per_s / 1e9:.1f} GB/s in a copy. Operations are those done;"
        " bytes are features and representations, each moved once."
    )
    return f"{body}\n{caption}\n"


def measured_apart(
    names: Sequence[str], options: Sequence[str], reporter: Reporter
) -> list[StageSpeed]:
    """Measure methods in random order, each in a process; return records in the order of names.

    ``options`` are those of the command, other than --methods and --json.

    Raises:
        UserError: a process failed; it has printed why.
    """
    records: dict[str, list[StageSpeed]] = {}
    command = [sys.executable, "-m", "bench", "throughput", *options, "--json", "--methods"]
    with reporter.stage("measure") as progress:
        for name in random.sample(names, len(names)):
            finished = subprocess.run(
                [*command, name], stdout=subprocess.PIPE, text=True, check=False
            )
            if finished.returncode:
                raise UserError(f"{name} was not measured; its own message stands above")
            records[name] = parsed(StageSpeeds, {"rows": json.loads(finished.stdout)}).rows
            progress(len(records), len(names))
    return [record for name in names for record in records[name]]


@torch.no_grad()
def measured(
    method: ConfiguredMethod,
    sizes: Sizes,
    device: torch.device,
    batch_size: int,
    repeats: int,
) -> list[StageSpeed]:
    """Measure a method in this process; one record for each stage."""
    keep_freed_memory()
    peaks = measured_peaks(device)
    workload = Workload(method, sizes, device, batch_size)
    forget_peak_memory(device)
    stages = measure(workload, repeats)
    memory = peak_memory(device)
    return [_record(stage, method, workload, memory, peaks) for stage in stages]
