"""TA2N: videos aligned in time by themselves, then pair by pair in time and space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, Settings, register
from methods._pair_alignment import PairAlignment, Pairs, Prepared
from methods._precision import in_own_precision
from methods._retiming import Retiming
from methods._shot_alignment import Reference, ShotAlignment

PARTS = ("key", "query", "value")


@dataclass(frozen=True)
class TA2NSettings(Settings):
    """Settings of TA2N."""

    second_stage: bool = True
    """Whether pairs of videos are aligned too, or only every video by itself."""
    reference: Reference = "mean"
    """What the shots of a class are aligned to; the authors take the first one."""
    dropout: float = 0.5
    """Share of the feature maps' entries set to zero in training."""


class Video(NamedTuple):
    """Videos along their own lines of time."""

    maps: Tensor
    """(..., T, H, W, C)"""
    of_class: Tensor
    """(..., T, H, W, 128): as prototypes in the first convolution over pairs; (..., 0) without."""
    of_query: Tensor
    """(..., T, H, W, 128): as queries"""


class Prototypes(NamedTuple):
    """What `score` needs to know of the classes."""

    maps: Tensor
    """(episodes, way, T, H, W, C)"""
    prepared: Prepared | None
    """For the second stage, where there is one."""
    several: bool
    """Whether there is more than one shot, so that queries are mapped like the shots."""


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
        " single frame; and before the first step, as the last layers start at zero, the layers"
        " before them get none"
    )
    needs = "maps"
    order_aware = True
    separate_passes = True  # the authors' batch norm sees supports, then queries (ta2n.py:320-321)
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ta2n-first-stage": {"second_stage": False},
        "ta2n-first-shot": {"reference": "smallest"},
    }
    without_gradient: ClassVar[Mapping[str, str]] = {
        "*.conv.bias": "the batch norm behind it takes it off again",
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
        **{f"secondstage.{part}net.weight": f"pairing.{part}.weight" for part in PARTS},
        **{f"{part}net_multi.weight": f"shots.{part}.weight" for part in PARTS},
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

    def encode(self, features: Tensor) -> Video:
        """(videos, C, T, H, W) -> the same along each video's own line of time."""
        retimed = self.retiming(self.dropout(in_own_precision(self, features)))
        maps = retimed.movedim(1, -1).contiguous()
        if self.pairing is None:
            return Video(maps, *(maps.new_empty(len(maps), 0) for _ in range(2)))
        # Right for one shot; with several, videos change before they are paired.
        return Video(maps, self.pairing.of_class(maps), self.pairing.of_query(maps))

    def adapt(self, support: Video) -> Prototypes:
        """(episodes, way, shot, ...) -> one aligned video a class."""
        several = support.maps.shape[2] > 1
        maps, convolved = support.maps[:, :, 0], support.of_class[:, :, 0]
        if several:
            maps = self.shots(support.maps, self.settings.reference)
            convolved = convolved if self.pairing is None else self.pairing.of_class(maps)
        prepared = None if self.pairing is None else self.pairing.prepare(maps, convolved)
        return Prototypes(maps, prepared, several)

    def score(self, state: Prototypes, query: Video) -> Tensor:
        """Minus the cosine distances, frame by frame, summed: (episodes, queries, way)."""
        if state.prepared is None:
            asked = self.shots.value(query.maps) if state.several else query.maps
            return _compare_maps(state.maps, asked)
        return self.align(state, query).scores()

    def align(self, state: Prototypes, query: Video) -> Pairs:
        """Align every class with every query (episodes, queries, ...), where that is done."""
        pairing = cast(PairAlignment, self.pairing)
        maps = self.shots.value(query.maps) if state.several else query.maps
        convolved = pairing.of_query(maps) if state.several else query.of_query
        return cast(Pairs, pairing(state.prepared, maps, convolved))


def _compare_maps(support: Tensor, query: Tensor) -> Tensor:
    """Minus the cosine distances of whole maps, frame by frame: (episodes, queries, way)."""
    shown, asked = (normalize(maps.flatten(3), dim=-1).flatten(2) for maps in (support, query))
    return asked @ shown.mT - support.shape[2]
