"""HyRSM's enriched frames: those of a video, shifted by what the episode tells it."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu

from methods._precision import wide
from methods._products import inner_products
from methods.parts.alignment import hausdorff_distances

FAR_WEIGHT, FAR_WIDTH = 10.0, 51.0
"""HyRSM++: weight of the term that keeps distant frames apart, and how far apart (its width)."""


class OwnFrames(NamedTuple):
    """Frames of videos, without what an episode tells them."""

    vectors: Tensor
    """(episodes, videos, T, C)"""
    squares: Tensor
    """(episodes, videos, T): squared lengths of the vectors, in four bytes at least."""


class Shifted(NamedTuple):
    """Enriched frames a + g as a part of the video, a, and one of the episode, g.

    They are compared without being added up: the sum would hold (episodes, queries, support
    videos, T, C) numbers, and inner products of sums are sums of inner products.
    """

    support: OwnFrames
    """a of the support videos."""
    query: OwnFrames
    """a of the queries."""
    shifts: Tensor
    """g: (episodes, queries, supports + 1, C), of each query the supports' and then its own."""

    def set_distances(self) -> Tensor:
        """Hausdorff distances over cosine distances: (episodes, queries, supports)."""
        mutual = wide(self.shifts @ self.shifts.mT)
        at_query = wide(self.query.vectors @ self.shifts.mT)
        at_support, by_query = wide(self._at_support()), wide(self._by_query())
        products = wide(self._unshifted())
        products = products + at_query[..., :-1].mT.unsqueeze(-1) + by_query.unsqueeze(-2)
        products = products + mutual[:, :, :-1, -1, None, None]
        squared = mutual.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
        rounding = 4 * torch.finfo(self.shifts.dtype).eps
        of_support = _lengths_of_sums(
            self.support.squares.unsqueeze(1), squared[:, :, :-1], at_support, rounding
        )
        of_query = _lengths_of_sums(
            self.query.squares, squared[:, :, -1], at_query[..., -1], rounding
        )
        norms = of_support.unsqueeze(-2) * of_query[:, :, None, :, None]
        return hausdorff_distances(1 - products / norms).to(self.shifts.dtype)

    def incoherence(self) -> Tensor:
        """HyRSM++'s term for the support videos, as each query sees them, and for the queries."""
        mixed = self._at_support()
        squared = self.shifts.square().sum(dim=-1)[..., None, None]
        own = (self.support.vectors @ self.support.vectors.mT).unsqueeze(1)
        of_support = own + mixed.unsqueeze(-1) + mixed.unsqueeze(-2) + squared[:, :, :-1]
        query = self.query.vectors + self.shifts[:, :, -1:]
        return incoherence(of_support) + incoherence(query @ query.mT)

    def _unshifted(self) -> Tensor:
        """Products of the videos' own parts: (episodes, queries, supports, Tq, Ts)."""
        support, query = self.support.vectors, self.query.vectors
        products: Tensor = inner_products(query.flatten(1, 2), support.flatten(1, 2))
        products = products.unflatten(2, support.shape[1:3]).unflatten(1, query.shape[1:3])
        return products.transpose(2, 3)

    def _at_support(self) -> Tensor:
        """Products of a support video's own frames and its shifts: (..., supports, Ts)."""
        shifts = self.shifts[:, :, :-1].transpose(1, 2)
        return (shifts @ self.support.vectors.mT).transpose(1, 2)

    def _by_query(self) -> Tensor:
        """Products of support frames with the queries' shifts: (..., supports, Ts)."""
        support = self.support.vectors
        products = inner_products(self.shifts[:, :, -1], support.flatten(1, 2))
        apart: Tensor = products.unflatten(2, support.shape[1:3])
        return apart


def _lengths_of_sums(first: Tensor, second: Tensor, product: Tensor, rounding: float) -> Tensor:
    """Lengths of sums of vectors whose squared lengths and inner product are given.

    Of vectors that cancel only rounding is left, from which no direction can be told: their sum
    counts as longer than that, so that its cosines are small.
    """
    both = first + second
    return torch.maximum(both + 2 * product, rounding * both).clamp(min=1e-24).sqrt()


def squared_lengths(vectors: Tensor) -> Tensor:
    """(..., C) -> (...), in four bytes at least."""
    return wide(vectors).square().sum(dim=-1)


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
