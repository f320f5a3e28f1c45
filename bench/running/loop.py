"""The one evaluation loop: every figure of every method comes from here.

A method sees features and nothing else: no label, no class, no name, no position that carries
information. The loop alone knows which query belongs where, and only after the scores are in.
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
"""Share of a GPU's free memory that representations may take, or scores of all pairs. Larger
representations stay on the host; pairs are scored anew in every episode then."""
CACHED = 24 << 20
"""Bytes of representations that are gathered at once on a CPU: what its caches hold, and what the
allocator gives again without asking the system for it. More is slower by half."""


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
    batches, and all return the same answers: those of one process, row for row.

    Args:
        method: in evaluation mode; it is moved to ``device``.
        features: float32 (videos, C, T, H, W), in an order that says nothing about classes.
        episodes: whose indices point into ``features``.
        device: where to compute.
        batch_size: episodes scored at once; it changes speed and memory, not scores.
        progress: told how many episodes are done.
        text: text feature of each video's class, (videos, C), for a method that reads names.

    Raises:
        UserError: the method gives something of a wrong shape, or scores that are not finite, or
            changes what it is given.
    """
    forget_peak_memory(device)
    keep_freed_memory()
    method = method.to(device)
    given = [features] if isinstance(features, Tensor) else []  # on disk they cannot be changed
    with _unchanged(method, given, "encode"), Stopwatch(device) as encode_watch:
        videos = encode(method, features, device)
    batch_size = cached(batch_size, videos, episodes, device)
    with _unchanged(method, [*given, *tensors(videos)], "adapt or score"):
        _warm_up(method, videos, episodes, device, batch_size, text)
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
    """Encode each video once: what belongs to a video is not done again for every episode.

    The result is on ``device`` if it fits there, else on the host.

    Raises:
        UserError: the method gives representations of a wrong shape.
    """
    chunks = _chunks(features)
    lengths = [chunk.stop - chunk.start for chunk in chunks]
    mine = distributed.share(chunks)
    # A process without a share encodes a video all the same, to know what representations are.
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
    """Which videos are encoded together; fewer where their maps come from disk, and are large."""
    length = ENCODE_CHUNK
    if isinstance(features, StoredFeatures):
        length = max(1, min(length, READ_BYTES * len(features) // features.nbytes))
    count = len(features)
    return [slice(first, min(first + length, count)) for first in range(0, count, length)]


def _encoded(
    method: Method, features: Tensor, like: Sequence[tuple[torch.dtype, torch.Size]] | None = None
) -> Representation:
    """Ask a method for representations of some videos, and check what it gives.

    Args:
        method: the method.
        features: (videos, C, T, H, W).
        like: types and shapes of what it gave for other videos, number of videos left out.

    Raises:
        UserError: not a tensor, or tensors, with a row for each video, or not as before.
    """
    found = method.encode(features)
    parts = [found] if isinstance(found, Tensor) else found
    if not (parts and isinstance(parts, tuple | list) and all(map(torch.is_tensor, parts))):
        raise UserError(
            f"method {method.name} encoded videos as {type(found).__name__}; encode() returns a"
            " tensor, or a (named) tuple of tensors"
        )
    shapes = [tuple(part.shape) for part in parts]
    if any(shape[:1] != features.shape[:1] for shape in shapes):
        raise UserError(
            f"method {method.name} encoded {len(features)} videos as tensors of shape"
            f" {', '.join(map(str, shapes))}; each has a row for each video: mend its encode()"
        )
    if like is not None and [(part.dtype, part.shape[1:]) for part in parts] != like:
        raise UserError(
            f"method {method.name} encoded some videos as {', '.join(map(str, shapes))}, of another"
            " type or shape than others: mend its encode()"
        )
    return found


@contextmanager
def _unchanged(method: Method, given: Sequence[Tensor], functions: str) -> Iterator[None]:
    """Refuse a method that changes in place what it is given: other methods see it too.

    torch counts how often a tensor is written to. Writing past torch, as through numpy, is found
    by who owns the features.
    """
    before = [tensor._version for tensor in given]
    yield
    if [tensor._version for tensor in given] != before:
        raise UserError(
            f"method {method.name} changed in place, in its {functions}(), what it was given and"
            " others are given too; work on a copy: x = x - 1 in place of x -= 1"
        )


def _warm_up(
    method: Method,
    videos: Representation,
    episodes: Episodes,
    device: torch.device,
    batch_size: int,
    text: Tensor | None,
) -> None:
    """Do once what is about to be timed: a device's first call chooses kernels and loads them."""
    if by_pair(method, videos, episodes, device):
        first = pairs.blocks(len(tensors(videos)[0]), device)[0]
        pairs.compared(method, videos, first, first, device)
    else:
        score(method, videos, *_indices(episodes, slice(batch_size), device), device, text)


def cached(
    batch_size: int, videos: Representation, episodes: Episodes, device: torch.device
) -> int:
    """Episodes scored at once: fewer than asked for where a CPU's caches hold fewer."""
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
    """Best score, second best and the way of the best: float32 (3, episodes, queries), on the host.

    Memory does not grow with the number of episodes, but for what is returned, and for the scores
    of pairs of videos where they are kept: no more than one number for a pair of an episode. A GPU
    is waited for once, at the end.
    """
    scored, progress = scorer(method, videos, episodes, device, progress, text)
    windows = [slice(first, first + batch_size) for first in range(0, len(episodes), batch_size)]
    lengths = [len(range(len(episodes))[window]) for window in windows]
    mine = distributed.share(windows)
    size = sum(distributed.share(lengths)), 3, episodes.labels.shape[1]
    answers = torch.empty(size, pin_memory=device.type == "cuda")
    done = 0
    for number, window in enumerate(mine, start=1):
        best = _best_two(scored(*_indices(episodes, window, device)))
        answers[done : done + len(best)].copy_(best, non_blocking=True)
        done += len(best)
        progress(min(number * distributed.size() * batch_size, len(episodes)), len(episodes))
    wait_for(device)
    return distributed.together(answers, lengths).transpose(0, 1)


def by_pair(
    method: Method, videos: Representation, episodes: Episodes, device: torch.device
) -> TypeGuard[PairMethod]:
    """Whether each pair of videos is scored once: that repays, and there is room for the scores.

    All processes of a job follow the first one's decision.
    """
    count = len(tensors(videos)[0])
    if not pairs.repay(method, episodes, count):
        return False
    size = count**2 * torch.float32.itemsize
    return distributed.agreed(size <= RESIDENT_SHARE * free_memory(device))


def scorer(
    method: Method,
    videos: Representation,
    episodes: Episodes,
    device: torch.device,
    progress: Progress,
    text: Tensor | None = None,
) -> tuple[Callable[[Tensor, Tensor], Tensor], Progress]:
    """How support and query indices become scores, and where progress is reported.

    If pairs are looked up, the pairs are the work, and looking up is not reported.
    """
    if not by_pair(method, videos, episodes, device):
        return (
            lambda support, query: score(method, videos, support, query, device, text)
        ), progress

    def in_episodes(done: int, total: int) -> None:
        progress(len(episodes) * done // total, len(episodes))

    table = pairs.similarities(method, videos, device, in_episodes)
    return partial(pairs.look_up, table), lambda *_: None


def _check_finite(
    method: Method, margin: NDArray[np.float32], features: Tensor | StoredFeatures
) -> None:
    bad = int((~np.isfinite(margin)).any(axis=1).sum())
    if bad:
        parts = (features[chunk] for chunk in _chunks(features))
        videos = sum(int((~part.flatten(1).isfinite().all(dim=1)).sum()) for part in parts)
        if videos:
            raise UserError(
                f"the features of {videos} of {len(features)} videos are not finite numbers: the"
                f" backbone made them so, and no method, such as {method.name}, can score them"
            )
        raise UserError(
            f"method {method.name} gave scores that are not finite in {bad} of {len(margin)}"
            " episodes; every score is a finite number: guard its divisions and logarithms"
        )


def _best_two(scores: Tensor) -> Tensor:
    """(episodes, 3, queries): best score, second best, and the way of the best.

    Scores that are not finite come out as NaN, and are refused by the caller when all is done:
    asking here would make a GPU wait in every batch.
    """
    finite = scores.isfinite().all(dim=-1, keepdim=True)
    values = torch.where(finite, scores.float(), torch.nan)
    prediction = values.argmax(dim=-1)
    first = values.gather(-1, prediction[..., None])[..., 0]
    rest = values.scatter(-1, prediction[..., None], -torch.inf)
    second = rest.amax(dim=-1) if values.shape[-1] > 1 else torch.zeros_like(first)
    return torch.stack([first, second, prediction.to(first.dtype)], dim=1)


def _indices(episodes: Episodes, window: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Support and query of some episodes as int64, ready to be copied while the device computes."""
    support = torch.from_numpy(episodes.support[window].astype(np.int64))
    query = torch.from_numpy(episodes.query[window].astype(np.int64))
    if device.type == "cuda":
        return support.pin_memory(), query.pin_memory()
    return support, query
