"""TA2N: two-stage action alignment.

Two videos of one action are hard to compare because it starts earlier in one of them, goes faster,
has its parts in another order, or happens in another corner of the picture. TA2N undoes this in two
stages before it compares videos frame by frame:

1. *Temporal transform* (TTM): each video by itself. A small network proposes where the action lies,
   a straight line a t + b through the video's time, and the video is resampled along it.
2. *Action coordination* (ACM): each query with each class. In time, every frame of the prototype
   attends to the frames of the query, and the query gets their mixture added. In space, a network
   proposes an offset for each frame of a pair: the prototype is read around it, the query around
   the opposite one.

What is left of a pair are two vectors a frame; the score is minus the sum of their cosine
distances. Several shots of a class are first aligned in time with one reference, and averaged.

Letters: p and q the frames of prototype and query, x and y their times; A attention; o offsets.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, max_pool3d, normalize, relu

from bench.method import FeatureShape, Method, Settings, register

LARGEST_OFFSET = 0.75
"""Largest distance from the centre at which a frame is read; 1 is the edge of the map."""
PERTURBATION = 0.2
"""Step between the 3 x 3 offsets around the one proposed, whose masks are averaged."""


@dataclass(frozen=True)
class TA2NSettings(Settings):
    """Settings of TA2N."""

    second_stage: bool = True
    """Whether pairs of videos are aligned too, or only every video by itself."""
    reference: Literal["mean", "first", "smallest"] = "mean"
    """Video that the shots of a class are aligned with: their mean, the first one (the authors), or
    the one with the smallest mean feature, which does not depend on the order of shots."""
    dropout: float = 0.5
    """Probability that an entry of the feature maps is set to zero in training."""


class PooledConvolution(nn.Module):
    """3 x 3 x 3 convolution, batch norm, max-pooling (never beyond the map), ReLU."""

    def __init__(self, channels: int, width: int, pool: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, width, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, T, H, W) -> (n, width, T', H', W')."""
        return self.after_convolution(self.conv(maps))

    def after_convolution(self, maps: Tensor) -> Tensor:
        """(n, width, T, H, W) -> (n, width, T', H', W')."""
        kernel = [min(pair) for pair in zip(self.pool, maps.shape[2:], strict=True)]
        return relu(max_pool3d(self.norm(maps), kernel))


class TemporalTransform(nn.Module):
    """First stage: an affine temporal warp per video, initialised near the identity (tanh 2, 0)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            PooledConvolution(channels, 64, (2, 2, 2)), PooledConvolution(64, 128, (2, 2, 2))
        )
        self.line = nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())
        last = cast(nn.Linear, self.line[2])
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([2.0, 0.0]))

    def theta(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> slope a and start b of each video's time, (videos, 2)."""
        return self.line(self.blocks(maps).amax(dim=(2, 3, 4)))

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> maps along the new time; zero outside the video."""
        frames = maps.shape[2]
        t = torch.linspace(-1, 1, frames, dtype=maps.dtype, device=maps.device)
        a, b = self.theta(maps).unsqueeze(-1).unbind(dim=1)
        place = ((a * t + b + 1) / 2 * (frames - 1)).unsqueeze(-1)  # in frames, (videos, T, 1)
        # Between the frames before and behind; at a frame itself, the slope is that to its right.
        before = place.floor()
        beyond = place - before
        frame = torch.arange(frames).to(maps)
        weights = (frame == before) * (1 - beyond) + (frame == before + 1) * beyond
        return torch.einsum("vts,vcshw->vcthw", weights, maps)


class ShotAlignment(nn.Module):
    """Several shots: align those of a class in time with a reference, and average them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )

    def forward(self, shots: Tensor, reference: str) -> Tensor:
        """(episodes, way, shot, C, T, H, W) -> (episodes, way, C, T, H, W)."""
        frames = frame_means(shots)
        goal = frames.mean(dim=2, keepdim=True) if reference == "mean" else frames[:, :, :1]
        if reference == "smallest":
            smallest = frames.mean(dim=(-2, -1), keepdim=True).argmin(dim=2, keepdim=True)
            goal = frames.take_along_dim(smallest, dim=2)
        A = attention(self.query(goal), self.key(frames)) / shots.shape[2]
        # The values of a mixture of frames are the mixture of their values.
        return self.values(torch.einsum("enkyx,enkcxhw->encyhw", A, shots))

    def values(self, maps: Tensor) -> Tensor:
        """Map every position: (..., C, T, H, W) -> the same shape."""
        return self.value(maps.movedim(-4, -1)).movedim(-1, -4)


class Pairs(NamedTuple):
    """Every class's prototype aligned with every query: (episodes, queries, way, T, C)."""

    prototypes: Tensor
    queries: Tensor
    offsets: Tensor
    """(episodes, queries, way, T, 2), as (x, y)."""


class ActionCoordination(nn.Module):
    """Second stage: where in time and space a pair shows the same; all offsets start at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.first = PooledConvolution(2 * channels, 128, (1, 2, 2))
        self.second = PooledConvolution(128, 128, (1, 2, 2))
        self.offset = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())
        last = cast(nn.Linear, self.offset[2])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, prototypes: Tensor, queries: Tensor) -> Pairs:
        """Align (episodes, way, C, T, H, W) with (episodes, queries, C, T, H, W)."""
        # In time: p_x + V p_x, and q_x + sum_y A_xy V q_y, where V adds the same all over a frame.
        p, q = frame_means(prototypes).unsqueeze(1), frame_means(queries).unsqueeze(2)
        A = attention(self.key(p), self.query(q))  # (episodes, queries, way, T, T)
        prototypes = prototypes.unsqueeze(1) + self.value(p).mT[..., None, None]
        queries = queries.unsqueeze(2) + (A @ self.value(q)).mT[..., None, None]
        # In space: an offset for each frame of each pair.
        pairs = torch.cat([prototypes.expand_as(queries), queries], dim=3)
        offsets = self.offsets(self.first(pairs.flatten(0, 2))).unflatten(0, pairs.shape[:3])
        mask, mirrored = (offset_masks(o, *queries.shape[-2:]) for o in (offsets, -offsets))
        shown = torch.einsum("eqnthw,eqncthw->eqntc", mask, prototypes.expand_as(queries))
        asked = torch.einsum("eqnthw,eqncthw->eqntc", mirrored, queries)
        return Pairs(shown, asked, offsets)

    def offsets(self, maps: Tensor) -> Tensor:
        """Propose where to look: maps of `first` (pairs, 128, T, H, W) -> (pairs, T, 2)."""
        return LARGEST_OFFSET * self.offset(self.second(maps).amax(dim=(-2, -1)).mT)


def frame_means(maps: Tensor) -> Tensor:
    """(..., C, T, H, W) -> mean over each frame, (..., T, C)."""
    return maps.mean(dim=(-2, -1)).mT


def attention(asking: Tensor, asked: Tensor) -> Tensor:
    """(..., T, C) and (..., Ts, C) -> attention weights of the frames asked, (..., T, Ts)."""
    return (asking @ asked.mT / math.sqrt(asking.shape[-1])).softmax(dim=-1)


def offset_masks(offsets: Tensor, height: int, width: int) -> Tensor:
    """Masks at offsets (x, y) from the centre: (..., 2) -> (..., height, width), sum 1 each.

    A mask weights the position g, from -1 to 1 in rows and columns, by f(g + o): 1 where |g + o| is
    less than 1, else relu(1 - r (|g + o| - 1)), which is 0 from one position further out. It is the
    mean over 9 offsets around each; as f is a product over rows and columns, so is the mean.
    """
    profiles = []
    for o, size in zip(offsets.unbind(dim=-1), (width, height), strict=True):
        steps = PERTURBATION * torch.tensor([-1.0, 0.0, 1.0]).to(o)
        g = torch.linspace(-1, 1, size).to(o)
        distance = (g + (o.unsqueeze(-1) + steps).unsqueeze(-1)).abs()
        outside = relu(1 - (size - 1) / 2 * (distance - 1))  # at |g + o| = 1, the slope is r
        f = torch.where(distance < 1, torch.ones_like(outside), outside)
        profiles.append((f / f.sum(dim=-1, keepdim=True)).mean(dim=-2))
    columns, rows = profiles
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)


@register
class TA2N(Method):
    """Two-stage action alignment: every video in time, then every pair in time and space."""

    name = "ta2n"
    source = "Li et al., AAAI 2022, arXiv:2107.04782; R00Kie-Liu/TA2N at 2becdd8"
    differs = """frozen features instead of a trained backbone; with several shots they are aligned
    to their mean, as the order of shots means nothing here (the authors take the first one; variant
    ta2n-first-shot, the first by mean feature); where pooling by 2 would leave nothing of a short
    video or a small map, that direction is not pooled; no layer norm over the classes (off in the
    authors' scripts); the loss is averaged, not summed, over queries. As the authors': the
    multi-shot maps get no gradient from one-shot episodes, keys and queries of the attentions none
    from a single frame; and before the first step, as the last layers start at zero, the layers
    before them get none"""
    needs = "maps"
    order_aware = True
    separate_passes = True  # the authors' batch norm sees supports, then queries (ta2n.py:320-321)
    variants = {
        "ta2n-first-stage": {"second_stage": False},
        "ta2n-first-shot": {"reference": "smallest"},
    }
    without_gradient = {"*.conv.bias": "the batch norm behind it takes it off again"}
    coordination: ClassVar[type[ActionCoordination]] = ActionCoordination
    Settings = TA2NSettings
    settings: TA2NSettings

    def __init__(self, shape: FeatureShape, settings: TA2NSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.dropout = nn.Dropout(self.settings.dropout)
        self.retiming = TemporalTransform(shape.channels)
        self.shots = ShotAlignment(shape.channels)
        self.pairing = self.coordination(shape.channels) if self.settings.second_stage else None

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> the same, resampled along each video's warped time axis."""
        return self.retiming(self.dropout(features))

    def adapt(self, support: Tensor) -> tuple[Tensor, bool]:
        """(episodes, way, shot, ...) -> one video a class, and whether it had several shots."""
        if support.shape[2] == 1:
            return support[:, :, 0], False
        return self.shots(support, self.settings.reference), True

    def score(self, state: tuple[Tensor, bool], query: Tensor) -> Tensor:
        """Minus the cosine distances, frame by frame, summed: (episodes, queries, way)."""
        if self.pairing is not None:
            aligned = self.align(state, query)
            return (cosine_similarity(aligned.prototypes, aligned.queries, dim=-1) - 1).sum(dim=-1)
        # Whole maps of each frame at length 1, all frames side by side.
        sides = state[0], self.query_maps(state, query)
        p, q = (normalize(maps.transpose(2, 3).flatten(3), dim=-1).flatten(2) for maps in sides)
        return q @ p.mT - query.shape[3]

    def align(self, state: tuple[Tensor, bool], query: Tensor) -> Pairs:
        """Align every class with every query (episodes, queries, C, T, H, W) in time and space."""
        return self.pairing(state[0], self.query_maps(state, query))  # type: ignore[misc]

    def query_maps(self, state: tuple[Tensor, bool], query: Tensor) -> Tensor:
        """Map queries (episodes, queries, C, T, H, W) as the shots were, if there are several."""
        return self.shots.values(query) if state[1] else query
