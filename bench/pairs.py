"""Scores of pairs of videos, each worked out once: for banks whose episodes repeat pairs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench import distributed
from bench.method import Compares, Method, Representation, apply
from bench.scoring import brought, checked, tensors
from episodes.sampler import Episodes

SIDE = {"cpu": 48, "cuda": 128}
"""Videos in a row and in a column of a block of pairs: as many as make its products large, and few
enough for what the steps between them leave to stay in the caches of a CPU."""


def repay(method: Method, episodes: Episodes, videos: int, device: torch.device) -> bool:
    """Whether pairs of so many videos are no more than those that the episodes compare.

    And whether the method's scores are made of pairs at all. Only counting decides.
    """
    said, shots = compared(method), episodes.support.shape[2]
    if not (said == "videos" or (said == "videos at one shot" and shots == 1)):
        return False
    pairs_met: int = episodes.query.size * episodes.support[0].size
    return worked_out(method, videos, device) <= pairs_met


def worked_out(method: Method, videos: int, device: torch.device) -> int:
    """How many pairs of so many videos are scored for all of them to be known."""
    return sum(
        (strip.support.stop - strip.support.start) * (videos - strip.first_query)
        for strip in strips(method, videos, device)
    )


def compared(method: Method) -> Compares:
    """What a method's scores depend on, as it says itself: `Method.compares`.

    What a class says of its scores says nothing of a class that derives from it and computes them
    anew: one that has an `encode`, `adapt` or `score` of its own has to say it again.
    """
    for cls in type(method).__mro__:
        if "compares" in vars(cls):
            break
        if not {"encode", "adapt", "score"}.isdisjoint(vars(cls)):
            return "episodes"
    return method.compares


def symmetric(method: Method) -> bool:
    """Whether exchanged videos have the same score, as the method says itself: `Method.symmetric`.

    What a class says of it says nothing of a class that derives from it and has any function of
    its own, or another base beside it: those have to say it again.
    """
    order = type(method).__mro__
    says = next(cls for cls in order if "symmetric" in vars(cls))
    derived = order[: order.index(says)]
    alone = all(cls in says.__mro__ for cls in order[len(derived) :])
    return method.symmetric and alone and not any(map(_has_functions, derived))


def _has_functions(cls: type) -> bool:
    """Whether a class does anything that its bases do not, but for what Python gives it."""
    return any(
        callable(one) or hasattr(one, "__get__")
        for name, one in vars(cls).items()
        if not isinstance(one, type) and (name == "__init__" or not name.startswith("__"))
    )


class Strip(NamedTuple):
    """Some support videos, whose pairs are scored one block of queries after another."""

    support: slice
    first_query: int
    """The videos before it have been their support: a symmetric method has those scores."""


def strips(method: Method, videos: int, device: torch.device) -> list[Strip]:
    """Cut the pairs of so many videos into strips."""
    mutual = symmetric(method)
    return [Strip(one, one.start if mutual else 0) for one in sides(0, videos, device)]


def sides(first: int, videos: int, device: torch.device) -> list[slice]:
    """Cut videos, from the first one wanted, into those that make a side of a block."""
    side = SIDE[device.type]
    return [slice(start, min(start + side, videos)) for start in range(first, videos, side)]


@torch.no_grad()
def pair_scores(
    method: Method,
    videos: Representation,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Scores of every video as a query against every video as the support: float32.

    Of a symmetric method half of them are worked out. In a job of several processes each works out
    its share.

    Args:
        method: one whose scores are made of pairs.
        videos: representation of every video.
        device: where to compute, and where the scores are.
        progress: told how many of the support videos are done.

    Returns:
        (support, query)
    """
    count = len(tensors(videos)[0])
    pieces = strips(method, count, device)
    lengths = [piece.support.stop - piece.support.start for piece in pieces]
    # Filled strip by strip: joined in the end, they would take their memory twice.
    size = sum(distributed.share(lengths)), count
    mine = torch.empty(size, dtype=torch.float32, device=device)
    filled = 0
    for number, piece in enumerate(distributed.share(pieces), start=1):
        found = strip_scores(method, videos, piece, device)
        mine[filled : filled + len(found), piece.first_query :] = found
        filled += len(found)
        progress(min(number * distributed.size(), len(pieces)), len(pieces))
    return _mirrored(distributed.together(mine, lengths), pieces)


def _mirrored(table: Tensor, pieces: Sequence[Strip]) -> Tensor:
    """Fill in the scores of videos that were compared in the other roles."""
    for support, first_query in pieces:
        table[support, :first_query] = table[:first_query, support].T
    return table


@torch.no_grad()
def strip_scores(
    method: Method, videos: Representation, strip: Strip, device: torch.device
) -> Tensor:
    """Scores of a strip, (support, query).

    To the method a block of pairs is one episode: each support video a class, all others queries.
    """
    shown = as_classes(videos, strip.support, device)
    state, classes = method.adapt(shown), tensors(shown)[0].shape[1]
    scores = []
    for block in sides(strip.first_query, len(tensors(videos)[0]), device):
        query = as_queries(videos, block, device)
        expected = 1, tensors(query)[0].shape[1], classes
        scores.append(checked(method, method.score(state, query), expected)[0].float())
    return torch.cat(scores).T


def as_classes(videos: Representation, some: slice, device: torch.device) -> Representation:
    """Some videos as the support of one episode, (1, way, 1, ...)."""
    return apply(videos, lambda tensor: brought(tensor[some], device)[None, :, None])


def as_queries(videos: Representation, some: slice, device: torch.device) -> Representation:
    """Some videos as the queries of one episode, (1, queries, ...)."""
    return apply(videos, lambda tensor: brought(tensor[some], device)[None])


def look_up(table: Tensor, support: Tensor, query: Tensor) -> Tensor:
    """Scores of episodes: of each class the mean over its shots.

    Args:
        table: scores of all pairs, (support, query).
        support: (episodes, way, shot) indices.
        query: (episodes, queries) indices.

    Returns:
        (episodes, queries, way)
    """
    support, query = (index.to(table.device, non_blocking=True) for index in (support, query))
    places = support.unsqueeze(1) * len(table) + query[:, :, None, None]
    return table.take(places).mean(dim=-1)
