"""The one evaluation loop: every result of every method comes from here.

A method sees features and nothing else: no label, no class, no name, no position that carries
information. Scores are compared with labels only after the loop, by its callers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.features.store import StoredFeatures
from bench.machine import distributed
from bench.machine.device import (
    Stopwatch,
    forget_peak_memory,
    free_memory,
    keep_freed_memory,
    peak_memory,
    wait_for,
)
from bench.method import Method, PairMethod, Representation, apply
from bench.running import pairs
from bench.running.scoring import CPU, score, tensors
from bench.runs.run import Answers
from episodes.banks.sampler import Episodes
from episodes.errors import UserError
from episodes.split import Progress

ENCODE_CHUNK = 128
"""Videos encoded at once."""
READ_BYTES = 64 << 20
"""Bytes of features that are read from disk at once."""
RESIDENT_SHARE = 0.5
"""Fraction of a GPU's free memory that representations, or the scores of all pairs, may take.
Larger representations stay on the host; without the scores, pairs are scored in every episode."""
CACHED = 24 << 20
"""Bytes of representations gathered at once on a CPU: they fit in its caches, and the allocator
reuses the memory without asking the system. With more, a batch takes half as long again."""


@torch.no_grad()
def evaluate(
    method: Method,
    features: Tensor | StoredFeatures,
    episodes: Episodes,
    device: torch.device,
    batch_size: int,
    progress: Progress,
    text: Tensor | None = None,
) -> Answers:
    """Score every query of every episode.

    In a job of several processes each encodes its share of the videos and scores its share of the
    batches; all return the same answers as a single process, row for row.

    Args:
        method: the method, in evaluation mode; it is moved to ``device``.
        features: float32 (videos, C, T, H, W), in an order that says nothing about classes.
        episodes: indices into ``features``.
        device: where to compute.
        batch_size: episodes scored at once; it affects speed and memory, not scores.
        progress: told of the number of episodes done.
        text: text feature of each video's class, (videos, C), for a method that reads names.

    Raises:
        UserError: the method returns something of a wrong shape or scores that are not finite, or
            changes its inputs.
    """
    forget_peak_memory(device)
    keep_freed_memory()
    method = method.to(device)
    given = [features] if isinstance(features, Tensor) else []  # those on disk cannot change
    with _unchanged(method, given, "encode"), Stopwatch(device) as encode_watch:
        videos = encode(method, features, device)
    batch_size = cached(batch_size, videos, episodes, device)
    with _unchanged(method, [*given, *tensors(videos)], "adapt or score"):
        # The first call on a device loads its kernels, and is not timed.
        if by_pair(method, videos, episodes, device):
            block = pairs.blocks(len(tensors(videos)[0]), device)[0]
            pairs.compared(method, videos, block, block, device)
        else:
            first_batch = _indices(episodes, slice(batch_size), device)
            score(method, videos, *first_batch, device, text)
        with Stopwatch(device) as score_watch:
            first, second, prediction = answer(
                method, videos, episodes, device, batch_size, progress, text
            ).numpy()
    _check_finite(method, first - second, features)
    return Answers(
        prediction.astype(np.int16),
        first - second,
        encode_watch.seconds,
        score_watch.seconds,
        peak_memory(device),
    )


def encode(
    method: Method, features: Tensor | StoredFeatures, device: torch.device
) -> Representation:
    """Encode each video once, whatever the number of episodes.

    The result is on ``device`` if it fits there, else on the host.

    Raises:
        UserError: the method returns representations of a wrong shape.
    """
    chunks = _chunks(features)
    lengths = [chunk.stop - chunk.start for chunk in chunks]
    mine = distributed.share(chunks)
    # A process without a share encodes one video too, to know the shapes of representations.
    encoded = _encoded(method, features[mine[0] if mine else slice(1)].to(device))
    like = [(tensor.dtype, tensor.shape[1:]) for tensor in tensors(encoded)]
    rows = sum(distributed.share(lengths))
    size = sum(tensor[:1].nbytes for tensor in tensors(encoded)) * len(features)
    home = device if size <= RESIDENT_SHARE * free_memory(device) else CPU
    kept = apply(encoded, lambda tensor: tensor.new_empty((rows, *tensor.shape[1:]), device=home))
    filled = 0
    for chunk in mine:
        if chunk is not mine[0]:
            encoded = _encoded(method, features[chunk].to(device), like)
        end = filled + chunk.stop - chunk.start
        for part, whole in zip(tensors(encoded), tensors(kept), strict=True):
            whole[filled:end] = part
        filled = end
    return apply(kept, lambda tensor: distributed.together(tensor, lengths))


def _chunks(features: Tensor | StoredFeatures) -> list[slice]:
    """Return the slices of videos encoded at once; shorter ones if large maps come from disk."""
    length = ENCODE_CHUNK
    if isinstance(features, StoredFeatures):
        length = max(1, min(length, READ_BYTES * len(features) // features.nbytes))
    count = len(features)
    return [slice(first, min(first + length, count)) for first in range(0, count, length)]


def _encoded(
    method: Method, features: Tensor, like: Sequence[tuple[torch.dtype, torch.Size]] | None = None
) -> Representation:
    """Encode some videos, features (videos, C, T, H, W), and check the representations.

    ``like`` has the types of other videos' representations, and their shapes without the videos.

    Raises:
        UserError: the result is not a tensor, or tensors, with a row per video and as in ``like``.
    """
    encoded = method.encode(features)
    parts = [encoded] if isinstance(encoded, Tensor) else encoded
    if not (parts and isinstance(parts, tuple | list) and all(map(torch.is_tensor, parts))):
        raise UserError(
            f"method {method.name} encoded videos as {type(encoded).__name__}; encode() returns a"
            " tensor, or a (named) tuple of tensors"
        )
    shapes = [tuple(part.shape) for part in parts]
    if any(shape[:1] != features.shape[:1] for shape in shapes):
        raise UserError(
            f"method {method.name} encoded {len(features)} videos as tensors of shape"
            f" {', '.join(map(str, shapes))}; each needs one row per video: correct its encode()"
        )
    if like is not None and [(part.dtype, part.shape[1:]) for part in parts] != like:
        raise UserError(
            f"method {method.name} encoded some videos as {', '.join(map(str, shapes))}, of another"
            " type or shape than others: correct its encode()"
        )
    return encoded


@contextmanager
def _unchanged(method: Method, given: Sequence[Tensor], functions: str) -> Iterator[None]:
    """Refuse a method that changes its inputs in place, since other methods see them too.

    torch counts the writes to a tensor. Writes past torch, as through numpy, are noticed by
    `bench.running.execute`.
    """
    before = [tensor._version for tensor in given]
    yield
    if [tensor._version for tensor in given] != before:
        raise UserError(
            f"method {method.name} changed its input in place, in its {functions}(); other methods"
            " get the same input: work on a copy, as in x = x - 1 instead of x -= 1"
        )


def cached(
    batch_size: int, videos: Representation, episodes: Episodes, device: torch.device
) -> int:
    """Return the number of episodes scored at once: fewer if a CPU's caches hold fewer."""
    if device.type != "cpu":
        return batch_size
    in_episode = episodes.support[0].size + episodes.query[0].size
    size: int = sum(tensor[:1].nbytes for tensor in tensors(videos)) * in_episode
    return max(1, min(batch_size, CACHED // max(1, size)))


def answer(
    method: Method,
    videos: Representation,
    episodes: Episodes,
    device: torch.device,
    batch_size: int,
    progress: Progress,
    text: Tensor | None = None,
) -> Tensor:
    """Return best score, second best, and way of the best: float32 (3, episodes, queries), on CPU.

    Memory grows with the number of episodes only by the result and, if the scores of all pairs are
    kept, by at most one number per comparison. The host waits for a GPU once, at the end.
    """
    total = len(episodes)
    answered: Progress = progress
    scores: Callable[[Tensor, Tensor], Tensor]
    if by_pair(method, videos, episodes, device):
        # The work is to compare all pairs, which progress reports; the rest is to look them up.
        table = pairs.similarities(
            method, videos, device, lambda done, of: progress(total * done // of, total)
        )
        scores, answered = partial(pairs.look_up, table), lambda *_: None
    else:
        scores = partial(score, method, videos, device=device, text=text)
    windows = [slice(first, first + batch_size) for first in range(0, total, batch_size)]
    lengths = [len(range(total)[window]) for window in windows]
    mine = distributed.share(windows)
    size = sum(distributed.share(lengths)), 3, episodes.labels.shape[1]
    answers = torch.empty(size, pin_memory=device.type == "cuda")
    done = 0
    for number, window in enumerate(mine, start=1):
        best = best_two(scores(*_indices(episodes, window, device)))
        answers[done : done + len(best)].copy_(best, non_blocking=True)
        done += len(best)
        answered(min(number * distributed.size() * batch_size, total), total)
    wait_for(device)
    return distributed.together(answers, lengths).transpose(0, 1)


def by_pair(
    method: Method, videos: Representation, episodes: Episodes, device: torch.device
) -> TypeGuard[PairMethod]:
    """Whether to score each pair of videos once: that saves work, and the scores fit in memory.

    The first process decides for all processes of a job.
    """
    count = len(tensors(videos)[0])
    if not pairs.repay(method, episodes, count):
        return False
    size = count**2 * torch.float32.itemsize
    return distributed.agreed(size <= RESIDENT_SHARE * free_memory(device))


def _check_finite(
    method: Method, margin: NDArray[np.float32], features: Tensor | StoredFeatures
) -> None:
    bad = int((~np.isfinite(margin)).any(axis=1).sum())
    if bad:
        parts = (features[chunk] for chunk in _chunks(features))
        videos = sum(int((~part.flatten(1).isfinite().all(dim=1)).sum()) for part in parts)
        if videos:
            raise UserError(
                f"the features of {videos} of {len(features)} videos are not finite numbers: they"
                f" come from the backbone like this, and neither {method.name} nor any other method"
                " can score them"
            )
        raise UserError(
            f"method {method.name} gave scores that are not finite in {bad} of {len(margin)}"
            " episodes; every score is a finite number: guard its divisions and logarithms"
        )


def best_two(scores: Tensor) -> Tensor:
    """Return best score, second best, and way of the best: (episodes, 3, queries).

    Scores that are not finite become NaN, and `evaluate` refuses them at the end: a check here
    would wait for the GPU in every batch.
    """
    finite = scores.isfinite().all(dim=-1, keepdim=True)
    values = torch.where(finite, scores.float(), torch.nan)
    prediction = values.argmax(dim=-1)
    first = values.gather(-1, prediction[..., None])[..., 0]
    rest = values.scatter(-1, prediction[..., None], -torch.inf)
    second = rest.amax(dim=-1) if values.shape[-1] > 1 else torch.zeros_like(first)
    return torch.stack([first, second, prediction.to(first.dtype)], dim=1)


def _indices(episodes: Episodes, window: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Support and query of some episodes as int64, pinned for copies while a GPU computes."""
    support = torch.from_numpy(episodes.support[window].astype(np.int64))
    query = torch.from_numpy(episodes.query[window].astype(np.int64))
    if device.type == "cuda":
        return support.pin_memory(), query.pin_memory()
    return support, query
