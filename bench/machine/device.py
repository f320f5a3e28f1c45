"""Devices: choosing one, timing, and measuring memory."""

import contextlib
import ctypes
import math
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench.machine.distributed import started_by_torchrun
from episodes.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, as malloc.h numbers them."""


def choose_device(name: str) -> torch.device:
    """Return a device by name: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UserError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: torch {torch.__version__} sees no GPU; use --device cpu")
    if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
        raise UserError(
            f"device {name!r}: there are {torch.cuda.device_count()} GPUs, counted from 0"
        )
    if name == "cuda" and started_by_torchrun():
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    if name.startswith("cuda"):
        torch.cuda.set_device(name if ":" in name else "cuda:0")
        # cuBLAS is deterministic only with a fixed workspace, configured before its first use.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # TF32 would round the factors of products to 10 bits.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(name)


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Use deterministic algorithms on a GPU, wherever torch has them.

    They are slower. Training needs them, so that a killed training resumes to the same weights;
    scoring does not, since none of its sums depends on the order of threads.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic implementation.*")
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def describe_device(device: torch.device) -> str:
    """Describe the device: the model of the GPU, or the number of threads of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def driver_version(patience: float = 10) -> str | None:
    """Return the version of the GPU's driver, as ``nvidia-smi`` prints it.

    Args:
        patience: seconds to wait for the tool, which hangs where the driver does.

    Returns:
        None without the tool, or if it fails or hangs.
    """
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()  # without waiting: a process that is stuck in the driver stays
        return None
    if process.returncode != 0:  # it prints why in place of the version
        return None
    return output.decode().split("\n", maxsplit=1)[0].strip() or None


class Stopwatch:
    """Measures the seconds that a block takes: by events on a GPU, by the wall clock on a CPU.

    >>> with Stopwatch(torch.device("cpu")) as watch:
    ...     _ = sum(range(1000))
    >>> watch.seconds > 0
    True
    """

    def __init__(self, device: torch.device) -> None:
        """Prepare to time on ``device``."""
        self._device = device
        self._times: list[Any] = []

    def __enter__(self) -> "Stopwatch":
        """Start."""
        self._times = [self._now()]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; on a GPU once its work so far is done, without waiting for it."""
        self._times.append(self._now())

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    @property
    def seconds(self) -> float:
        """Seconds between start and stop; waits for a GPU.

        Raises:
            RuntimeError: the stopwatch has not been stopped.
        """
        if len(self._times) < 2:
            raise RuntimeError("the stopwatch has not stopped: nothing has waited for the device")
        start, stop = self._times
        if self._device.type == "cuda":
            stop.synchronize()
            return float(start.elapsed_time(stop)) / 1000
        return float(stop - start)


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next batch, instead of returning it to the system.

    Fetching the pages again took a third to a half of the time of a batch of some megabytes. Blocks
    beyond 32 MiB are still returned. Without glibc nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def free_memory(device: torch.device) -> float:
    """Bytes of free memory on a GPU; infinity on a CPU, where the system decides."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return math.inf


def forget_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            # Linux: 5 resets the peak of the process's resident memory to its present size.
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Peak bytes of GPU memory used by torch, or of this process's resident memory.

    On a GPU and on Linux since the last `forget_peak_memory`, elsewhere since the process started.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
