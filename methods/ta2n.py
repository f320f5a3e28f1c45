"""TA2N: videos aligned in time by themselves, then pair by pair in time and space."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv3d, max_pool3d, normalize, relu

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision

LARGEST_OFFSET = 0.75
"""How far from the centre a mask may lie: 1 is the edge of the map."""
PERTURBATION = 0.2
"""Step between the places around an offset whose masks are averaged, 3 in each direction."""

Reference = Literal["mean", "first", "smallest"]


@dataclass(frozen=True)
class TA2NSettings(Settings):
    """Settings of TA2N."""

    second_stage: bool = True
    """Whether pairs of videos are aligned too, or only every video by itself."""
    reference: Reference = "mean"
    """What the shots of a class are aligned to: their mean, the first one (as the authors do), or
    the one with the smallest mean feature: one of them as well, but whatever their order."""
    dropout: float = 0.5
    """Share of the feature maps' entries set to zero in training."""


class Prepared(NamedTuple):
    """What the second stage needs to know of the classes."""

    maps: Tensor
    """(episodes, way, C, T, H, W): prototypes with their own value added"""
    keys: Tensor
    """(episodes, way, T, C)"""
    convolved: Tensor
    """(episodes, way, 128, T, H, W): their part of the first convolution over pairs"""


class Prototypes(NamedTuple):
    """What `score` needs to know of the classes."""

    maps: Tensor
    """(episodes, way, C, T, H, W)"""
    several: bool
    """Whether there is more than one shot, so that queries are mapped like the shots."""
    prepared: Prepared | None
    """For the second stage, where there is one."""


class Pairs(NamedTuple):
    """Every class's prototype aligned with every query."""

    prototypes: Tensor
    """(episodes, queries, way, T, C)"""
    queries: Tensor
    """(episodes, queries, way, T, C)"""
    offsets: Tensor
    """(episodes, queries, way, T, 2), as (x, y)"""


class Block(nn.Module):
    """3 x 3 x 3 convolution, batch norm, max-pooling, ReLU."""

    def __init__(self, channels: int, width: int, pool: tuple[int, int, int]) -> None:
        """Build it; the pooling never exceeds the map."""
        super().__init__()
        self.conv = nn.Conv3d(channels, width, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, T, H, W) -> (n, width, less, less, less)."""
        return self.after(self.conv(maps))

    def after(self, convolved: Tensor) -> Tensor:
        """Do all but the convolution."""
        kernel = [min(pair) for pair in zip(self.pool, convolved.shape[2:], strict=True)]
        return relu(max_pool3d(self.norm(convolved), kernel))


class Retiming(nn.Module):
    """First stage: one straight line of time for every video, and the video along it."""

    def __init__(self, channels: int) -> None:
        """Build it; it starts near the video's own time (a = tanh 2, b = 0)."""
        super().__init__()
        self.blocks = nn.Sequential(Block(channels, 64, (2, 2, 2)), Block(64, 128, (2, 2, 2)))
        self.line = nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())
        last = cast(nn.Linear, self.line[2])
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([2.0, 0.0]))

    def theta(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> slope and start of each video's time, (videos, 2)."""
        line: Tensor = self.line(self.blocks(maps).amax(dim=(2, 3, 4)))
        return line

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> maps along the new time; zero outside the video."""
        frames = maps.shape[2]
        time = torch.linspace(-1, 1, frames, dtype=maps.dtype, device=maps.device)
        slope, start = self.theta(maps).unsqueeze(-1).unbind(dim=1)
        place = (slope * time + start + 1) / 2 * (frames - 1)
        frame = torch.arange(frames, dtype=maps.dtype, device=maps.device)
        # Linear interpolation between the two frames around a place, as one matrix a video.
        weights = relu(1 - (place.unsqueeze(-1) - frame).abs())
        return torch.einsum("vts,vcshw->vcthw", weights, maps)


class ShotAlignment(nn.Module):
    """Re-time the shots of a class to a reference, and average them."""

    def __init__(self, channels: int) -> None:
        """Build it for maps of ``channels``."""
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )

    def forward(self, shots: Tensor, reference: Reference) -> Tensor:
        """(episodes, way, shot, C, T, H, W) -> (episodes, way, C, T, H, W)."""
        frames = _frames(shots)
        goal = _reference(frames, reference)
        keys, queries = self.key(frames), self.query(goal).unsqueeze(2)
        attention = _attention(queries, keys) / shots.shape[2]
        return self.values(torch.einsum("enkyx,enkcxhw->encyhw", attention, shots))

    def values(self, maps: Tensor) -> Tensor:
        """(..., C, T, H, W) -> (..., C, T, H, W), position by position."""
        return _at_each_position(self.value, maps)


class PairAlignment(nn.Module):
    """Second stage: where a prototype's and a query's action lies in time and space."""

    def __init__(self, channels: int) -> None:
        """Build it; it starts with all offsets zero."""
        super().__init__()
        self.key, self.query, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.first = Block(2 * channels, 128, (1, 2, 2))
        self.second = Block(128, 128, (1, 2, 2))
        self.offset = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())
        last = cast(nn.Linear, self.offset[2])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def prepare(self, prototypes: Tensor) -> Prepared:
        """(episodes, way, C, T, H, W) -> all that belongs to the classes alone."""
        frames = _frames(prototypes)
        maps = prototypes + self.value(frames).mT[..., None, None]
        weight, _ = self._pair_weight()
        convolved = _for_each_video(
            lambda v: conv3d(v, weight, self.first.conv.bias, padding=1), maps
        )
        return Prepared(maps, self.key(frames), convolved)

    def forward(self, prototypes: Prepared, queries: Tensor) -> Pairs:
        """Align with queries (episodes, queries, C, T, H, W)."""
        frames = _frames(queries)
        attention = _attention(prototypes.keys.unsqueeze(1), self.query(frames).unsqueeze(2))
        added = attention @ self.value(frames).unsqueeze(2)
        offsets = self._offsets(prototypes.convolved, queries, added)
        shown = torch.einsum("eqnthw,encthw->eqntc", _masks(offsets, queries), prototypes.maps)
        asked = torch.einsum("eqnthw,eqcthw->eqntc", _masks(-offsets, queries), queries)
        return Pairs(shown, asked + added, offsets)

    def _pair_weight(self) -> tuple[Tensor, Tensor]:
        """The first convolution's weights for prototypes and for queries, (128, C, 3, 3, 3)."""
        prototypes, queries = self.first.conv.weight.chunk(2, dim=1)
        return prototypes, queries

    def _offsets(self, convolved: Tensor, queries: Tensor, added: Tensor) -> Tensor:
        """Where to look in each frame of each pair: (episodes, queries, way, T, 2).

        The convolution over the pair [prototype, query + added] is taken apart: one part belongs
        to the class, one to the query; only the last, constant over each frame, to the pair.
        One class at a time, as maps of pairs are large; but all at once in training, where the
        batch norm takes its statistics over all pairs.
        """
        _, weight = self._pair_weight()
        asked = _for_each_video(lambda maps: conv3d(maps, weight, padding=1), queries).unsqueeze(2)
        way = convolved.shape[1]
        step = way if self.training else 1
        offsets = []
        for start in range(0, way, step):
            few = slice(start, start + step)
            constant = _convolve_constant(weight, added[:, :, few], queries.shape[-2:])
            offsets.append(self._offset(convolved[:, few].unsqueeze(1) + asked + constant))
        return torch.cat(offsets, dim=2)

    def _offset(self, convolved: Tensor) -> Tensor:
        """(episodes, queries, classes, 128, T, H, W) -> (episodes, queries, classes, T, 2)."""
        maps = self.second(self.first.after(convolved.flatten(0, 2)))
        offset: Tensor = LARGEST_OFFSET * self.offset(maps.amax(dim=(-2, -1)).mT)
        return offset.reshape(*convolved.shape[:3], -1, 2)


def _layer_names(theirs: str, ours: str, *kinds: str) -> dict[str, str]:
    """Authors' names of a layer's tensors -> ours; its weight and bias, and other ``kinds``."""
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias", *kinds)}


def _block_names(net: str, place: int, ours: str) -> dict[str, str]:
    """Authors' names of the convolution at ``place`` and the norm behind it -> ours."""
    norm = _layer_names(f"{net}.{place + 1}", f"{ours}.norm", "running_mean", "running_var")
    return _layer_names(f"{net}.{place}", f"{ours}.conv") | norm


@register
class TA2N(Method):
    """Two-stage action alignment: every video in time, then every pair in time and space."""

    name = "ta2n"
    revision = 1
    source = "Li et al., AAAI 2022, arXiv:2107.04782; R00Kie-Liu/TA2N at 2becdd8"
    differs = (
        "frozen features instead of a trained backbone; with several shots they are aligned to"
        " their mean, as the order of shots means nothing here (the authors take the first one;"
        " variant ta2n-first-shot, the first by mean feature); where pooling by 2 would leave"
        " nothing of a short video or a small map, that direction is not pooled; no layer norm"
        " over the classes (off in the authors' scripts). As the authors': the multi-shot maps get"
        " no gradient from one-shot episodes, keys and queries of the attentions none from a"
        " single frame, biases before a batch norm only rounding errors; and before the first"
        " step, as the last layers start at zero, the layers before them get none"
    )
    needs = "maps"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ta2n-first-stage": {"second_stage": False},
        "ta2n-first-shot": {"reference": "smallest"},
    }
    without_gradient: ClassVar[Mapping[str, str]] = {
        "*.conv.bias": "the batch norm behind it takes it off again"
    }
    authors_names: ClassVar[Mapping[str, str]] = {
        **_block_names("firststage.locnet", 0, "retiming.blocks.0"),
        **_block_names("firststage.locnet", 4, "retiming.blocks.1"),
        **_block_names("secondstage.mvnet", 0, "pairing.first"),
        **_block_names("secondstage.mvnet", 4, "pairing.second"),
        **_layer_names("firststage.locnet.10", "retiming.line.0"),
        **_layer_names("firststage.locnet.12", "retiming.line.2"),
        **_layer_names("secondstage.mvnet.10", "pairing.offset.0"),
        **_layer_names("secondstage.mvnet.12", "pairing.offset.2"),
        "secondstage.keynet.weight": "pairing.key.weight",
        "secondstage.querynet.weight": "pairing.query.weight",
        "secondstage.valuenet.weight": "pairing.value.weight",
        "keynet_multi.weight": "shots.key.weight",
        "querynet_multi.weight": "shots.query.weight",
        "valuenet_multi.weight": "shots.value.weight",
    }
    Settings = TA2NSettings
    settings: TA2NSettings

    def __init__(self, shape: FeatureShape, settings: TA2NSettings | None = None) -> None:
        """Build the method for features of ``shape``."""
        super().__init__(shape, settings)
        self.dropout = nn.Dropout(self.settings.dropout)
        self.retiming = Retiming(shape.channels)
        self.shots = ShotAlignment(shape.channels)
        self.pairing = PairAlignment(shape.channels) if self.settings.second_stage else None

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> the same along each video's own line of time."""
        aligned: Tensor = self.retiming(self.dropout(in_own_precision(self, features)))
        return aligned

    def adapt(self, support: Tensor) -> Prototypes:
        """(episodes, way, shot, C, T, H, W) -> one aligned video a class."""
        several = support.shape[2] > 1
        maps = self.shots(support, self.settings.reference) if several else support[:, :, 0]
        prepared = None if self.pairing is None else self.pairing.prepare(maps)
        return Prototypes(maps, several, prepared)

    def score(self, state: Prototypes, query: Tensor) -> Tensor:
        """Minus the cosine distances, frame by frame, summed: (episodes, queries, way)."""
        if state.prepared is None:
            return _compare_maps(state.maps, self._asked(state, query))
        pairs = self.align(state, query)
        shown, asked = (normalize(frames, dim=-1) for frames in pairs[:2])
        return -(1 - (shown * asked).sum(dim=-1)).sum(dim=-1)

    def align(self, state: Prototypes, query: Tensor) -> Pairs:
        """Align every class with every query (episodes, queries, C, T, H, W)."""
        pairs: Pairs = cast(PairAlignment, self.pairing)(state.prepared, self._asked(state, query))
        return pairs

    def _asked(self, state: Prototypes, query: Tensor) -> Tensor:
        return self.shots.values(query) if state.several else query


def _compare_maps(support: Tensor, query: Tensor) -> Tensor:
    """Minus the cosine distances of whole maps, frame by frame: (episodes, queries, way)."""
    shown, asked = (
        normalize(maps.transpose(2, 3).flatten(3), dim=-1).flatten(2) for maps in (support, query)
    )
    return asked @ shown.mT - support.shape[3]


def _at_each_position(linear: nn.Linear, maps: Tensor) -> Tensor:
    """Apply a linear map of the channels: (..., C, T, H, W) -> (..., C', T, H, W)."""
    return torch.einsum("oc,...cthw->...othw", linear.weight, maps)


def _frames(maps: Tensor) -> Tensor:
    """(..., C, T, H, W) -> mean over each frame, (..., T, C)."""
    return maps.mean(dim=(-2, -1)).mT


def _reference(frames: Tensor, kind: Reference) -> Tensor:
    """What the shots are aligned to: (episodes, way, shot, T, C) -> (episodes, way, T, C)."""
    if kind == "mean":
        return frames.mean(dim=2)
    if kind == "first":
        return frames[:, :, 0]
    precision = torch.promote_types(frames.dtype, torch.float32)
    place = frames.mean(dim=(-2, -1), dtype=precision).argmin(dim=2)
    return frames.take_along_dim(place[..., None, None, None], dim=2).squeeze(2)


def _attention(asking: Tensor, asked: Tensor) -> Tensor:
    """(..., T, C) and (..., Ts, C) -> shares of the asked frames, (..., T, Ts)."""
    likeness = asking @ asked.mT / math.sqrt(asking.shape[-1])
    return likeness.softmax(dim=-1)


def _for_each_video(function: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """Apply a function of (n, ...) to (episodes, videos, ...)."""
    changed = function(maps.flatten(0, 1))
    return changed.reshape(*maps.shape[:2], *changed.shape[1:])


def _masks(offsets: Tensor, maps: Tensor) -> Tensor:
    """Where to look, given offsets from the centre: (..., T, 2) -> (..., T, H, W), sum 1 a frame.

    The mean of the masks of the 9 offsets around each; as a mask is a product of one over the
    rows and one over the columns, so is the mean.
    """
    height, width = maps.shape[-2:]
    columns, rows = _profile(offsets[..., 0], width), _profile(offsets[..., 1], height)
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)


def _profile(offset: Tensor, size: int) -> Tensor:
    """Share of each of ``size`` positions in [-1, 1], seen from ``-offset``: (...) -> (..., size).

    1 within the map moved by the offset, falling to 0 within one position outside it.
    """
    step = PERTURBATION * torch.tensor([-1.0, 0.0, 1.0]).to(offset)
    position = torch.linspace(-1, 1, size).to(offset)
    moved = position + (offset.unsqueeze(-1) + step).unsqueeze(-1)
    share = relu(1 - (size - 1) / 2 * relu(moved.abs() - 1))
    return (share / share.sum(dim=-1, keepdim=True)).mean(dim=-2)


def _convolve_constant(weight: Tensor, frames: Tensor, size: Sequence[int]) -> Tensor:
    """Convolve frames that hold one vector everywhere: only the map's border tells places apart.

    Args:
        weight: (width, C, 3, 3, 3)
        frames: (episodes, queries, way, T, C)
        size: height and width of the frames.

    Returns:
        (episodes, queries, way, width, T, height, width), as `conv3d` with padding 1.
    """
    width, channels = weight.shape[:2]
    over_time = weight.permute(0, 3, 4, 1, 2).reshape(width * 9, channels, 3)
    taps = conv1d(frames.flatten(0, 2).mT, over_time, padding=1)
    inside = torch.einsum("hi,wj->hwij", *(_inside(side).to(taps) for side in size))
    summed = torch.einsum("noijt,hwij->nothw", taps.reshape(len(taps), width, 3, 3, -1), inside)
    return summed.reshape(*frames.shape[:3], *summed.shape[1:])


def _inside(size: int) -> Tensor:
    """Which of the 3 taps of a kernel lie inside: (size, 3)."""
    place = torch.arange(size).unsqueeze(1) + torch.tensor([-1, 0, 1])
    return (place >= 0) & (place < size)
