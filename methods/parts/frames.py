"""One vector a frame, and the cosines between the frames of two videos."""

import torch
from torch import Tensor


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
