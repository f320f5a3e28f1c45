"""TA2N's second stage: a prototype and a query aligned with each other, in time and in space."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from methods._frame_attention import frame_means, frame_shares
from methods._offset_masks import offset_masks
from methods._pair_convolution import (
    add_constants,
    constant_parts,
    convolve,
    halve,
    largest_response,
    mix_constants,
)
from methods._pooled_convolution import PooledConvolution

LARGEST_OFFSET = 0.75
"""How far from the centre a mask may lie: 1 is the edge of the map."""
WIDTH = 128
"""Channels of both convolutions."""


class Prepared(NamedTuple):
    """What the second stage needs to know of the classes."""

    maps: Tensor
    """(episodes, way, T, H, W, C)"""
    keys: Tensor
    """(episodes, way, T, C)"""
    values: Tensor
    """(episodes, way, T, C), to be added to the maps"""
    convolved: Tensor
    """(episodes, way, T, H, W, 128): their part of the first convolution over pairs"""


class Pairs(NamedTuple):
    """Every class's prototype aligned with every query."""

    prototypes: Tensor
    """(episodes, queries, way, T, C)"""
    queries: Tensor
    """(episodes, queries, way, T, C)"""
    offsets: Tensor
    """(episodes, queries, way, T, 2), as (x, y)"""

    def scores(self) -> Tensor:
        """Minus the cosine distances, frame by frame, summed: (episodes, queries, way)."""
        shown, asked = normalize(self.prototypes, dim=-1), normalize(self.queries, dim=-1)
        return -(1 - (shown * asked).sum(dim=-1)).sum(dim=-1)


class PairAlignment(nn.Module):
    """Second stage: where a prototype's and a query's action lies in time and space.

    Its first convolution, over the pair [prototype, query + added], is a sum: one part belongs to
    the class, `of_class`, one to the query, `of_query`, and only the last to the pair. What is
    added to the query is the same all over a frame, so that little of that last part differs.
    """

    def __init__(self, channels: int) -> None:
        """Build it; it starts with all offsets zero."""
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.first = PooledConvolution(2 * channels, WIDTH, (1, 2, 2))
        self.second = PooledConvolution(WIDTH, WIDTH, (1, 2, 2))
        self.offset = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())
        last = cast(nn.Linear, self.offset[2])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def of_class(self, maps: Tensor) -> Tensor:
        """Convolve videos as prototypes: (..., T, H, W, C) -> (..., T, H, W, 128)."""
        weight, bias = self.first.folded()
        values = self.value(frame_means(maps))
        return convolve(maps + values[..., None, None, :], weight.chunk(2, dim=1)[0], bias)

    def of_query(self, maps: Tensor) -> Tensor:
        """Convolve videos as queries: (..., T, H, W, C) -> (..., T, H, W, 128)."""
        return convolve(maps, self._weight_of_queries())

    def prepare(self, maps: Tensor, convolved: Tensor) -> Prepared:
        """Prepare prototypes (episodes, way, T, H, W, C), given `of_class` of each."""
        frames = frame_means(maps)
        return Prepared(maps, self.key(frames), self.value(frames), convolved)

    def forward(self, prototypes: Prepared, queries: Tensor, convolved: Tensor) -> Pairs:
        """Align with queries (episodes, queries, T, H, W, C), given `of_query` of each."""
        frames = frame_means(queries)
        values = self.value(frames)
        shares = frame_shares(prototypes.keys.unsqueeze(1), self.query(frames).unsqueeze(2))
        offsets = self._offsets(prototypes.convolved, convolved, shares, values)
        size = queries.shape[3:5]
        masks, mirrored = offset_masks(offsets, *size), offset_masks(-offsets, *size)
        shown = torch.einsum("eqnthw,enthwc->eqntc", masks, prototypes.maps)
        asked = torch.einsum("eqnthw,eqthwc->eqntc", mirrored, queries)
        # A mask's sum is 1, so that what is the same all over a frame may as well be added here.
        shown = shown + prototypes.values.unsqueeze(1)
        return Pairs(shown, asked + shares @ values.unsqueeze(2), offsets)

    def _weight_of_queries(self) -> Tensor:
        return self.first.folded()[0].chunk(2, dim=1)[1]

    def _offsets(
        self, of_class: Tensor, of_query: Tensor, shares: Tensor, values: Tensor
    ) -> Tensor:
        """Where to look in each frame of each pair: (episodes, queries, way, T, 2)."""
        parts = constant_parts(self._weight_of_queries(), values, *of_query.shape[3:5])
        if self.training:
            read = self._read_all(of_class, of_query, mix_constants(shares, parts, WIDTH))
        else:
            # One class at a time, as maps of pairs are large.
            classes = (
                self._read(of_class[:, n], of_query, mix_constants(shares[:, :, [n]], parts, WIDTH))
                for n in range(of_class.shape[1])
            )
            read = torch.stack(list(classes), dim=2)
        return LARGEST_OFFSET * cast(Tensor, self.offset(read))

    def _read_all(self, of_class: Tensor, of_query: Tensor, constants: Tensor) -> Tensor:
        """Both blocks: (episodes, queries, way, T, 128), with batch statistics over all pairs."""
        pairs = of_class.unsqueeze(1) + of_query.unsqueeze(2)
        add_constants(pairs, constants)
        normed = self.first.norm(pairs.flatten(0, 2).movedim(-1, 1))
        maps: Tensor = self.second(self.first.after(normed))
        return maps.amax(dim=(-2, -1)).mT.reshape(*constants.shape[:4], -1)

    def _read(self, of_class: Tensor, of_query: Tensor, constants: Tensor) -> Tensor:
        """The same for one class, in evaluation: (episodes, queries, T, 128).

        Frame by frame, so that maps of pairs are read again before they have left the caches.
        """
        pooled = []
        for frame in range(of_class.shape[1]):
            pairs = of_class[:, None, frame] + of_query[:, :, frame]
            add_constants(pairs, constants[:, :, 0, frame])
            pooled.append(relu(halve(pairs)).flatten(0, 1))
        read = relu(largest_response(torch.stack(pooled), *self.second.folded()))
        return read.transpose(0, 1).reshape(*of_query.shape[:3], -1)
