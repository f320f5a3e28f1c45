"""TEAM's patterns of videos, and the distances between them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

COSINE_FLOOR = 1e-8
"""Shortest length that a token is divided by."""


class Patterns(NamedTuple):
    """Pattern tokens of videos, each of unit length."""

    positive: Tensor
    """(episodes, videos, M, C): what the videos have of the patterns."""
    negative: Tensor
    """(episodes, videos, M, C): what they lack."""


def unit(tokens: Tensor) -> Tensor:
    """Bring tokens (..., C) to length 1; zero stays zero."""
    return normalize(tokens, dim=-1, eps=COSINE_FLOOR)


def token_distances(support: Tensor, query: Tensor) -> Tensor:
    """Sum over the tokens of 1 - cosine: (episodes, queries, way)."""
    return support.shape[2] - query.flatten(2) @ support.flatten(2).mT


def largest_of_others(distances: Tensor) -> Tensor:
    """For each class the largest distance to any other class: (episodes, queries, way)."""
    itself = torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device)
    return distances.unsqueeze(-2).masked_fill(itself, -torch.inf).amax(dim=-1)
