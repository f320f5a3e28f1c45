"""Similarities of all pairs of a bank's videos, each computed once.

If a bank draws many episodes from few videos, the same pairs occur in many episodes. The similarity
of a `bench.method.PairMethod` depends on the pair alone, so the loop computes it once.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.machine import distributed
from bench.method import Method, PairMethod, Representation, apply
from bench.running.scoring import brought, checked, tensors
from episodes.banks.sampler import Episodes

SIDE = {"cpu": 48, "cuda": 128}
"""Side of the blocks of pairs compared at once: enough for large matrix products, and few enough
for intermediate results to fit in the caches of a CPU."""


def repay(method: Method, episodes: Episodes, videos: int) -> bool:
    """Whether there are no more pairs of videos than comparisons in all episodes."""
    compared: int = episodes.query.size * episodes.support[0].size
    return isinstance(method, PairMethod) and videos**2 <= compared


@torch.no_grad()
def similarities(
    method: PairMethod,
    videos: Representation,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Compute the similarity of every video, as a query, to every video, as support.

    In a job of several processes each computes its share of the queries and receives the others.

    Returns:
        float32 (queries, support videos), on the device
    """
    pieces = blocks(len(tensors(videos)[0]), device)
    lengths = [piece.stop - piece.start for piece in pieces]
    count = sum(lengths)
    # Filled block by block, since concatenating blocks would take their memory twice.
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
    """Compare some videos, as queries, with others, each as the only support of its class."""
    query = apply(videos, lambda tensor: brought(tensor[rows], device)[None])
    shown = apply(videos, lambda tensor: brought(tensor[columns], device)[None, :, None])
    queries, classes = rows.stop - rows.start, columns.stop - columns.start
    return checked(method, method.score(shown, query), (1, queries, classes))[0]


def look_up(table: Tensor, support: Tensor, query: Tensor) -> Tensor:
    """Return scores of episodes, (episodes, queries, way): the mean over the shots of each class.

    Args:
        table: similarities of all pairs, (queries, support videos).
        support: (episodes, way, shot) indices.
        query: (episodes, queries) indices.
    """
    support, query = (index.to(table.device, non_blocking=True) for index in (support, query))
    places = query[:, :, None, None] * len(table) + support.unsqueeze(1)
    return table.take(places).mean(dim=-1)


def blocks(videos: int, device: torch.device) -> list[slice]:
    """Cut the range of videos into the sides of blocks."""
    side = SIDE[device.type]
    return [slice(first, min(first + side, videos)) for first in range(0, videos, side)]
