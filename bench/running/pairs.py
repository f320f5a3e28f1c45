"""Similarities of all pairs of a bank's videos, each computed once.

Where a bank draws many episodes from few videos, the same two videos meet in many episodes. A
`bench.method.PairMethod` scores them alike each time, so that the loop asks once and looks up.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.machine import distributed
from bench.method import Method, PairMethod, Representation, apply
from bench.running.scoring import brought, checked, tensors
from episodes.banks.sampler import Episodes

SIDE = {"cpu": 48, "cuda": 128}
"""Videos compared with as many others at once: enough for large products, and few enough for what
lies between them and the scores to stay in the caches of a CPU."""


def repay(method: Method, episodes: Episodes, videos: int) -> bool:
    """Whether so many videos make no more pairs than the episodes compare."""
    compared: int = episodes.query.size * episodes.support[0].size
    return isinstance(method, PairMethod) and videos**2 <= compared


@torch.no_grad()
def similarities(
    method: PairMethod,
    videos: Representation,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Similarity of every video, as a query, with every video, as the support.

    In a job of several processes each computes its share of the queries, and all receive all of
    them.

    Args:
        method: what compares.
        videos: representation of every video.
        device: where to compute, and where the result is.
        progress: told how many of the queries are done.

    Returns:
        float32 (queries, support videos)
    """
    pieces = blocks(len(tensors(videos)[0]), device)
    lengths = [piece.stop - piece.start for piece in pieces]
    count = sum(lengths)
    # Filled block by block: joined in the end, they would take their memory twice.
    mine = torch.empty((sum(distributed.share(lengths)), count), device=device)
    filled = 0
    for number, rows in enumerate(distributed.share(pieces), start=1):
        here = slice(filled, filled + rows.stop - rows.start)
        for columns in pieces:
            mine[here, columns] = compared(method, videos, rows, columns, device)
        filled = here.stop
        progress(min(number * distributed.size(), len(pieces)), len(pieces))
    return distributed.together(mine, lengths)


def compared(
    method: PairMethod, videos: Representation, rows: slice, columns: slice, device: torch.device
) -> Tensor:
    """Compare some videos, as queries, with some others, each as the only one of a class."""
    query = apply(videos, lambda tensor: brought(tensor[rows], device)[None])
    shown = apply(videos, lambda tensor: brought(tensor[columns], device)[None, :, None])
    queries, classes = rows.stop - rows.start, columns.stop - columns.start
    return checked(method, method.score(shown, query), (1, queries, classes))[0]


def look_up(table: Tensor, support: Tensor, query: Tensor) -> Tensor:
    """Scores of episodes: of each class the mean over its shots.

    Args:
        table: similarities of all pairs, (queries, support videos).
        support: (episodes, way, shot) indices.
        query: (episodes, queries) indices.

    Returns:
        (episodes, queries, way)
    """
    support, query = (index.to(table.device, non_blocking=True) for index in (support, query))
    places = query[:, :, None, None] * len(table) + support.unsqueeze(1)
    return table.take(places).mean(dim=-1)


def blocks(videos: int, device: torch.device) -> list[slice]:
    """Cut videos into those that are compared with as many others at once."""
    side = SIDE[device.type]
    return [slice(first, min(first + side, videos)) for first in range(0, videos, side)]
