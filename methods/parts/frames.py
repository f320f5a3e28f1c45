"""One vector a frame, and the cosines between the frames of two videos."""

from typing import NamedTuple

import torch
from torch import Tensor

from methods._products import inner_products


class Frames(NamedTuple):
    """Videos as one vector a frame."""

    vectors: Tensor
    """(..., T, C)"""
    norms: Tensor
    """(..., T): Euclidean length of each vector."""


def frame_vectors(features: Tensor) -> Tensor:
    """(videos, C, T, H, W) -> mean over height and width, (videos, T, C)."""
    if features.shape[3:] == (1, 1):
        return features.flatten(2).transpose(1, 2)  # half of the time of a mean of one
    return features.mean(dim=(3, 4)).transpose(1, 2)


def cosines(query: Tensor, support: Tensor, epsilon: float = 0.0) -> Tensor:
    """Cosine of every frame of every query with every frame of every support video.

    Args:
        query: (..., A, Tq, C) frame vectors.
        support: (..., B, Ts, C).
        epsilon: added to the product of the two norms, as some authors do. Without it this is the
            plain cosine, 0 where a vector is zero.

    Returns:
        (..., A, B, Tq, Ts)
    """
    products = torch.einsum("...atc,...bsc->...abts", query, support)
    of_query, of_support = query.norm(dim=-1), support.norm(dim=-1)
    norms = of_query[..., :, None, :, None] * of_support[..., None, :, None, :]
    lengths = norms + epsilon if epsilon else norms.clamp(min=torch.finfo(norms.dtype).tiny)
    cosines: Tensor = products / lengths
    return cosines


def encode_frames(features: Tensor) -> Frames:
    """(videos, C, T, H, W) -> frame vectors (videos, T, C) and their norms (videos, T)."""
    vectors = frame_vectors(features)
    return Frames(vectors, torch.linalg.vector_norm(vectors, dim=-1))


def frame_cosines(query: Frames, support: Frames, epsilon: float) -> Tensor:
    """Cosine of every query frame with every support frame.

    Args:
        query: vectors (episodes, queries, Tq, C).
        support: vectors (episodes, way, shot, Ts, C).
        epsilon: added to the product of the two norms; 0 is the plain cosine, 0 for zero vectors.

    Returns:
        (episodes, queries, way, shot, Tq, Ts)
    """
    episodes, queries, q_frames, _ = query.vectors.shape
    way, shot, s_frames = support.norms.shape[1:]
    products = inner_products(query.vectors.flatten(1, 2), support.vectors.flatten(1, 3))
    norms = query.norms.flatten(1).unsqueeze(2) * support.norms.flatten(1).unsqueeze(1)
    lengths = norms + epsilon if epsilon else norms.clamp(min=torch.finfo(norms.dtype).tiny)
    cosines = products / lengths
    return cosines.reshape(episodes, queries, q_frames, way, shot, s_frames).permute(
        0, 1, 3, 4, 2, 5
    )


def shots_side_by_side(similarities: Tensor) -> Tensor:
    """Put the frames of a class's shots into one row.

    (episodes, queries, way, shot, Tq, Ts) -> (episodes, queries, way, 1, Tq, shot * Ts)
    """
    return similarities.transpose(3, 4).flatten(4, 5).unsqueeze(3)
