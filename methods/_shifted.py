"""HyRSM's enriched frames: those of a video, shifted by what the episode tells it."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu

from methods._alignment import hausdorff_distances

FAR_WEIGHT, FAR_WIDTH = 10.0, 51.0
"""HyRSM++: weight of the term that keeps distant frames apart, and how far apart (its width)."""


class Shifted(NamedTuple):
    """Enriched frames a + g as a part of the video, a, and one of the episode, g: never added up.

    The sum would hold (episodes, queries, support videos, T, C) numbers; inner products of sums
    are sums of inner products.
    """

    frames: Tensor
    """a: (episodes, videos, T, C)"""
    shift: Tensor
    """g: (episodes, queries, videos, C)"""

    def products(self, query: Tensor) -> Tensor:
        """With query frames (episodes, queries, Tq, C): (episodes, queries, videos, Tq, Ts)."""
        videos, frames = self.frames.shape[1:3]
        own = query.flatten(1, 2) @ self.frames.flatten(1, 2).mT
        own = own.unflatten(2, (videos, frames)).unflatten(1, query.shape[1:3]).transpose(2, 3)
        products: Tensor = own + (self.shift @ query.mT).unsqueeze(-1)
        return products

    def squared_norms(self) -> Tensor:
        """(episodes, queries, videos, T)."""
        own = self.frames.square().sum(dim=-1).unsqueeze(1)
        return own + 2 * self._mixed() + self.shift.square().sum(dim=-1, keepdim=True)

    def gram(self) -> Tensor:
        """Inner products of a video's frames: (episodes, queries, videos, T, T)."""
        own = (self.frames @ self.frames.mT).unsqueeze(1)
        mixed = self._mixed()
        shift = self.shift.square().sum(dim=-1)[..., None, None]
        return own + mixed.unsqueeze(-1) + mixed.unsqueeze(-2) + shift

    def set_distances(self, query: Tensor) -> Tensor:
        """Hausdorff distances to query frames (episodes, queries, Tq, C), over cosine distances.

        Returns (episodes, queries, videos).
        """
        query_norms = lengths(query.square().sum(dim=-1))[:, :, None, :, None]
        support_norms = lengths(self.squared_norms()).unsqueeze(-2)
        cosines = self.products(query) / (query_norms * support_norms)
        return hausdorff_distances(1 - cosines)

    def _mixed(self) -> Tensor:
        """Products of a video's own frames and its shifts: (episodes, queries, videos, T)."""
        return (self.shift.transpose(1, 2) @ self.frames.mT).transpose(1, 2)


def lengths(squares: Tensor) -> Tensor:
    """Lengths from squared ones, never zero: a zero vector has cosine 0 with all others."""
    return squares.clamp(min=1e-24).sqrt()


def incoherence(gram: Tensor) -> Tensor:
    """How much neighbouring frames differ and distant ones agree: (..., T, T) -> ().

    ``gram`` holds inner products. With cosine distances d: d_ij / ((i - j)^2 + 1) for neighbours
    (|i - j| <= 1), else 10 relu(1 - exp(-(|i - j| - 1)^2 / 51) - d_ij).
    """
    norms = lengths(gram.diagonal(dim1=-2, dim2=-1))
    distances = 1 - gram / (norms.unsqueeze(-1) * norms.unsqueeze(-2))
    time = torch.arange(gram.shape[-1], device=gram.device, dtype=gram.dtype)
    apart = (time[:, None] - time).abs()
    near = distances / (apart.square() + 1)
    wanted = 1 - torch.exp(-(apart - 1).square() / FAR_WIDTH)
    far = FAR_WEIGHT * relu(wanted - distances)
    return torch.where(apart <= 1, near, far).mean()
