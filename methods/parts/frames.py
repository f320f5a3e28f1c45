"""One vector a frame, the cosines between the frames of two videos, and what sets of them score."""

from typing import Literal

import torch
from torch import Tensor

Sides = Literal["both", "query", "support"]


def frame_vectors(features: Tensor) -> Tensor:
    """(videos, C, T, H, W) -> mean over height and width, (videos, T, C)."""
    if features.shape[3:] == (1, 1):
        return features.flatten(2).transpose(1, 2)  # twice as fast as a mean over one value
    return features.mean(dim=(3, 4)).transpose(1, 2)


def cosines(
    query: Tensor,
    support: Tensor,
    epsilon: float = 0.0,
    lengths: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Cosine of every frame of every query with every frame of every support video.

    Frame vectors (..., A, Tq, C) and (..., B, Ts, C) -> (..., A, B, Tq, Ts). ``epsilon`` is added
    to the product of the two norms, as some authors do; without it this is the plain cosine, 0
    where a vector is zero. ``lengths`` are the norms of both sides, where they are known.
    """
    products = torch.einsum("...atc,...bsc->...abts", query, support)
    of_query, of_support = lengths or (query.norm(dim=-1), support.norm(dim=-1))
    norms = of_query[..., :, None, :, None] * of_support[..., None, :, None, :]
    least = torch.finfo(norms.dtype).tiny
    return products / (norms + epsilon if epsilon else norms.clamp(min=least))


def hausdorff_distances(distances: Tensor) -> Tensor:
    """Sum of every frame's distance to the nearest one, both ways: (..., rows, columns) -> (...).

    Source: Wang et al., CVPR 2022, arXiv:2204.13423 (its mean is a sum in the code).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)


def chamfer(M: Tensor, sides: Sides) -> Tensor:
    """Mean cosine of frames of one side or both with their nearest: (..., Tq, Ts) -> (...)."""
    of_query, of_support = M.amax(dim=-1).mean(dim=-1), M.amax(dim=-2).mean(dim=-1)
    if sides == "both":
        return (of_query + of_support) / 2
    return of_query if sides == "query" else of_support
