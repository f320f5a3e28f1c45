"""The one evaluation loop: every figure of every method comes from here.

A method sees features and nothing else: no label, no class, no name, no position that means
anything. The loop alone knows which query belongs where, and only after the scores are in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.device import Stopwatch, forget_peak_memory, peak_memory
from bench.method import Method, Representation, gather, join
from episodes.datasets import Progress
from episodes.errors import UserError
from episodes.sampler import Episodes

ENCODE_CHUNK = 128
"""Videos encoded at once."""


@dataclass(frozen=True)
class Answers:
    """What a method said, query by query, and what it cost."""

    prediction: NDArray[np.int16]
    """(episodes, queries) in 0..way-1."""
    margin: NDArray[np.float32]
    """(episodes, queries) best score minus second best."""
    encode_seconds: float
    score_seconds: float
    """Gather, adapt and score of all episodes; an untimed warm-up went before."""
    peak_memory_bytes: int


@torch.no_grad()
def evaluate(
    method: Method,
    features: Tensor,
    episodes: Episodes,
    device: torch.device,
    batch_size: int,
    progress: Progress,
) -> Answers:
    """Score every query of every episode.

    Args:
        method: in evaluation mode; it is moved to ``device``.
        features: float32 (videos, C, T, H, W), in an order that says nothing about classes.
        episodes: whose indices point into ``features``.
        device: where to compute.
        batch_size: episodes scored at once; it changes speed and memory, not scores.
        progress: told how many episodes are done.

    Raises:
        UserError: the method gives scores of a wrong shape, or scores that are not finite.
    """
    forget_peak_memory(device)
    method = method.to(device)
    with Stopwatch(device) as encode_watch:
        videos = encode(method, features, device)
    batches = list(_batches(episodes, batch_size, device))
    score(method, videos, *batches[0])
    answers: list[Tensor] = []
    with Stopwatch(device) as score_watch:
        for support, query in batches:
            answers.append(_best_two(score(method, videos, support, query)))
            progress(min(len(answers) * batch_size, len(episodes)), len(episodes))
        first, second, prediction = torch.cat(answers, dim=1).cpu().numpy()
    _check_finite(method, first - second)
    return Answers(
        prediction.astype(np.int16),
        (first - second).astype(np.float32),
        encode_watch.seconds,
        score_watch.seconds,
        peak_memory(device),
    )


def encode(method: Method, features: Tensor, device: torch.device) -> Representation:
    """Encode each video once: what belongs to a video is not done again for every episode."""
    chunks = [
        method.encode(features[first : first + ENCODE_CHUNK].to(device))
        for first in range(0, len(features), ENCODE_CHUNK)
    ]
    return join(chunks)


def score(method: Method, videos: Representation, support: Tensor, query: Tensor) -> Tensor:
    """Scores of a batch of episodes, (episodes, queries, way), checked for their shape.

    Args:
        method: the method.
        videos: representation of every video.
        support: (episodes, way, shot) indices.
        query: (episodes, queries) indices.
    """
    state = method.adapt(gather(videos, support))
    scores = method.score(state, gather(videos, query))
    expected = (*query.shape, support.shape[1])
    if scores.shape != expected:
        raise UserError(
            f"method {method.name} gave scores of shape {tuple(scores.shape)}; (episodes, queries,"
            f" way) is {expected}: mend its score()"
        )
    return scores


def _check_finite(method: Method, margin: NDArray[np.float32]) -> None:
    bad = int((~np.isfinite(margin)).any(axis=1).sum())
    if bad:
        raise UserError(
            f"method {method.name} gave scores that are not finite in {bad} of {len(margin)}"
            " episodes; every score is a finite number: guard its divisions and logarithms"
        )


def _best_two(scores: Tensor) -> Tensor:
    """(3, episodes, queries): best score, second best, and the way of the best.

    Scores that are not finite come out as NaN, and are refused by the caller when all is done:
    asking here would make a GPU wait in every batch.
    """
    finite = scores.isfinite().all(dim=-1, keepdim=True)
    values = torch.where(finite, scores.float(), torch.nan)
    prediction = values.argmax(dim=-1)
    first = values.gather(-1, prediction[..., None])[..., 0]
    rest = values.scatter(-1, prediction[..., None], -torch.inf)
    second = rest.amax(dim=-1) if values.shape[-1] > 1 else torch.zeros_like(first)
    return torch.stack([first, second, prediction.to(first.dtype)])


def _batches(
    episodes: Episodes, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(episodes), batch_size):
        window = slice(first, first + batch_size)
        yield (
            torch.from_numpy(episodes.support[window].astype(np.int64)).to(device),
            torch.from_numpy(episodes.query[window].astype(np.int64)).to(device),
        )
