"""Processes of one job, as `torchrun` starts them: work is shared and results are gathered.

Work is cut into the same pieces for any number of processes, and piece i belongs to process
i modulo that number. So the size of each computation, and with it every bit of the result, does
not depend on the number of processes. A single process has all pieces and sends nothing.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as job
from torch import Tensor

from bench.machine.locking import locked
from episodes.errors import UserError

PATIENCE = "FVBENCH_PATIENCE_MINUTES"
"""Environment variable: how long a process waits for the others, which may have more to decode."""
Piece = TypeVar("Piece")


def started_by_torchrun() -> bool:
    """Whether this process is one of several that torchrun started."""
    return job.is_available() and job.is_torchelastic_launched()


def rank() -> int:
    """Return the index of this process in the job, from 0."""
    return job.get_rank() if job.is_initialized() else 0


def size() -> int:
    """Return the number of processes in the job."""
    return job.get_world_size() if job.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that prints and writes what all have computed."""
    return rank() == 0


@contextmanager
def joined(out: Path) -> Iterator[None]:
    """Join the job, if torchrun started this process.

    CPU tensors are sent by gloo, GPU tensors by nccl. The first process locks ``out``.

    Raises:
        UserError: another command writes to ``out``, or `PATIENCE` is not a number of minutes.
    """
    if not started_by_torchrun():
        with locked(out):
            yield
        return
    minutes = os.environ.get(PATIENCE, "60")
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", minutes):
        raise UserError(f"{PATIENCE}={minutes}: it is a whole number of minutes, from 1 to 999999")
    on_gpu = torch.cuda.is_available() and job.is_nccl_available()
    job.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=timedelta(minutes=int(minutes))
    )
    try:
        with locked(out) if is_first() else nullcontext():
            yield
    finally:
        job.destroy_process_group()


def share(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces of work that belong to this process.

    >>> share(["a", "b", "c"])
    ['a', 'b', 'c']
    """
    return list(pieces[rank() :: size()])


def together(mine: Tensor, lengths: Sequence[int]) -> Tensor:
    """Gather the rows of all processes' pieces, in the order of the pieces.

    Args:
        mine: rows of this process's pieces, concatenated.
        lengths: number of rows in every piece of all processes.

    Returns:
        (sum of lengths, ...), the same in every process.

    >>> together(torch.tensor([1, 2, 3]), [2, 1])
    tensor([1, 2, 3])
    """
    if size() == 1:
        return mine
    rows = [sum(lengths[one :: size()]) for one in range(size())]
    padded = mine.new_zeros(max(rows), *mine.shape[1:])
    padded[: len(mine)] = mine
    everyone = [torch.empty_like(padded) for _ in rows]
    with connected(exchange_only=True):
        job.all_gather(everyone, padded)
    numbers = torch.arange(sum(lengths), device=mine.device).split(list(lengths))
    whole = mine.new_empty(sum(lengths), *mine.shape[1:])
    for one, (gathered, count) in enumerate(zip(everyone, rows, strict=True)):
        if count:
            whole[torch.cat(numbers[one :: size()])] = gathered[:count]
    return whole


def completed(mine: Tensor, rows: int) -> Tensor:
    """Gather rows as `together` does, keeping the gradient of this process's rows.

    For a loss that every process computes from all rows, with gradients averaged afterwards as by
    `DistributedDataParallel`. The other processes contribute no gradient of these rows, so it is
    multiplied by the number of processes first.

    Args:
        mine: the rows of this process, which need a gradient; or all rows.
        rows: number of rows in all.

    Returns:
        (rows, ...)
    """
    if len(mine) == rows:
        return mine
    whole = together(mine.detach(), [1] * rows)
    mine.register_hook(lambda gradient: gradient * size())
    whole[rank() :: size()] = mine
    return whole


def agreed(value: Piece) -> Piece:
    """Return the value of the first process, so that all processes decide alike."""
    if size() == 1:
        return value
    held = [value]
    with connected(exchange_only=True):
        job.broadcast_object_list(held, src=0, device=torch.device("cpu"))
    return held[0]


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process run the block before the others."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def wait() -> None:
    """Wait until all processes have reached this call."""
    if size() > 1:
        with connected(exchange_only=True):
            job.barrier()


@contextmanager
def connected(exchange_only: bool = False) -> Iterator[None]:
    """Run a block that exchanges tensors with the other processes, as a backward pass may.

    Args:
        exchange_only: whether the block does nothing else, so that any error is of the exchange.

    Raises:
        UserError: another process is gone.
    """
    try:
        yield
    except (RuntimeError, job.DistError) as error:
        if not (exchange_only or isinstance(error, job.DistError) or "gloo" in str(error)):
            raise
        reason = str(error).split("\n", maxsplit=1)[0]
        raise UserError(
            f"process {rank()} of {size()}: another process of this job has died or is stuck"
            f" ({reason}); look for its own message, fix the cause and repeat the command: what is"
            " finished is kept"
        ) from error
