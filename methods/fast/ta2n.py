"""TA2N, quicker: the first convolution over pairs is taken apart.

It sees [prototype + V p, query + A V q], and there are many more pairs than videos. As it is
linear, it is the sum of three convolutions. That of the prototype and that of the query are done
once for each video. The third one's input is the same all over a frame: a mixture, by the pair's
attention weights A, of the query's vectors V q. So those are convolved, once for each video, and
what comes out is mixed. A map that is the same everywhere has no more than 3 x 3 different
responses: at the corners, the edges, and inside.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv3d, pad

from bench.method import register
from methods.ta2n import TA2N, ActionCoordination, Pairs, attention, frame_means, offset_masks


class Video(NamedTuple):
    """Videos resampled along their warped time axes, and their convolutions as one of a pair."""

    maps: Tensor
    """(..., C, T, H, W)"""
    as_prototype: Tensor
    as_query: Tensor
    """(..., 128, T, H, W)"""
    as_added: Tensor
    """(..., T, 3, 128, up to 3, up to 3): of each frame's V q, by the three taps in time."""


class FastActionCoordination(ActionCoordination):
    """Second stage, given the convolutions of both videos."""

    def convolved(self, maps: Tensor) -> Video:
        """(..., C, T, H, W) -> the same, with all that the first convolution takes from a video."""
        lead, videos = maps.shape[:-4], maps.flatten(0, -5)
        prototype, query = self.first.conv.weight.chunk(2, dim=1)
        added = self.value(frame_means(videos)).mT[..., None, None]
        # The three taps in time become channels, as frames are convolved one by one.
        height, width = (min(3, size) for size in maps.shape[-2:])
        frames = added.transpose(1, 2).flatten(0, 1).expand(-1, -1, height, width).contiguous()
        taps = conv2d(frames, query.permute(2, 0, 1, 3, 4).flatten(0, 1), padding=1)
        parts = (
            conv3d(videos + added, prototype, self.first.conv.bias, padding=1),
            conv3d(videos, query, padding=1),
            taps.reshape(len(videos), maps.shape[-3], 3, -1, height, width),
        )
        return Video(maps, *(part.unflatten(0, lead) for part in parts))

    def align(self, prototypes: Video, queries: Video) -> Pairs:
        """Align (episodes, way, ...) with (episodes, queries, ...)."""
        p, q = frame_means(prototypes.maps).unsqueeze(1), frame_means(queries.maps).unsqueeze(2)
        a = attention(self.key(p), self.query(q))
        pairs = self._mixed(a, queries.as_added, *queries.maps.shape[-2:])
        pairs += prototypes.as_prototype.unsqueeze(1)
        pairs += queries.as_query.unsqueeze(2)
        read = self.first.after_convolution(pairs.flatten(0, 2))
        offsets = self.offsets(read).unflatten(0, pairs.shape[:3])
        mask, mirrored = (offset_masks(o, *queries.maps.shape[-2:]) for o in (offsets, -offsets))
        shown = torch.einsum("eqnthw,encthw->eqntc", mask, prototypes.maps)
        asked = torch.einsum("eqnthw,eqcthw->eqntc", mirrored, queries.maps)
        # A mask's sum is 1, so that what is the same all over a frame may as well be added here.
        return Pairs(shown + self.value(p), asked + a @ self.value(q), offsets)

    def _mixed(self, a: Tensor, as_added: Tensor, height: int, width: int) -> Tensor:
        """Mix the responses to a query's V q: (episodes, queries, way, 128, T, height, width)."""
        # What the taps before, at and after a frame see: (episodes, queries, way, T, Ts, taps).
        seen = pad(a, (0, 0, 1, 1)).unfold(-2, 3, 1)
        mixed = seen.flatten(4).flatten(2, 3) @ as_added.flatten(2, 3).flatten(3)
        mixed = mixed.reshape(*a.shape[:4], *as_added.shape[4:]).transpose(3, 4)
        rows, columns = (
            [min(place, 1) for place in range(size - 1)] + [min(size, 3) - 1]
            for size in (height, width)
        )
        return mixed[..., rows, :][..., columns]


@register
class FastTA2N(TA2N):
    """TA2N with the first convolution over pairs taken apart."""

    accelerates = "ta2n"
    coordination = FastActionCoordination

    def encode(self, features: Tensor) -> Any:
        """(videos, C, T, H, W) -> `Video`, or the retimed maps alone without a second stage."""
        maps = super().encode(features)
        # Right for one shot; with several, videos change before they are paired.
        return maps if self.pairing is None else self._pairing.convolved(maps)

    def adapt(self, support: Any) -> Any:
        """(episodes, way, shot, ...) -> one aligned video a class."""
        if self.pairing is None:
            return super().adapt(support)
        if support.maps.shape[2] == 1:
            return Video(*(part[:, :, 0] for part in support)), False
        return self._pairing.convolved(self.shots(support.maps, self.settings.reference)), True

    def align(self, state: Any, query: Any) -> Pairs:
        """Align every class with every query (episodes, queries, ...) in time and space."""
        prototypes, several = state
        if several:
            query = self._pairing.convolved(self.shots.values(query.maps))
        return self._pairing.align(prototypes, query)

    @property
    def _pairing(self) -> FastActionCoordination:
        return cast(FastActionCoordination, self.pairing)
