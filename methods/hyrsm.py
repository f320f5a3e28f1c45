"""HyRSM: videos enriched by their own frames and by the videos of the episode, then matched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from bench.reference import Golden, adopt, reproduces
from methods._alignment import hausdorff_distances
from methods._attention import SelfAttention, attend, heads_for
from methods._frames import frame_vectors
from methods._positions import hyrsm_positions
from methods._precision import in_own_precision
from methods._reference_episode import as_maps, scores_of, stored_shape

POSITION_DROPOUT, INTRA_DROPOUT, INTER_DROPOUT, WEIGHT_DROPOUT = 0.1, 0.2, 0.05, 0.1
"""Authors' dropout: after the positions, in both attentions, on the second one's weights."""
FAR_WEIGHT, FAR_WIDTH = 10.0, 51.0
"""HyRSM++: weight of the term that keeps distant frames apart, and how far apart (its width)."""


@dataclass(frozen=True)
class HyRSMSettings(Settings):
    """Settings of HyRSM; the authors' for SSv2-Small."""

    form: Literal["prototypes", "supports"] = "prototypes"
    """Whether the shots are averaged before the videos are related ("CNN_HyRSM_5shot") or every
    support video is related and matched by itself ("CNN_HyRSM_1shot"); equal with one shot."""
    heads: int = 8
    position_a: float = 10.0
    """The features are multiplied by sqrt(C / position_a) before the positions are added."""
    position_b: float = 1.0
    """The table of positions is multiplied by it."""
    classes: int = 0
    """Training classes of the frame classifier; 0 leaves it and its loss term out."""
    class_weight: float = 0.15
    coherence_weight: float = 0.0
    """Weight of HyRSM++'s temporal coherence term."""


class Videos(NamedTuple):
    """Videos after their own frames were related."""

    frames: Tensor
    """(..., T, C)"""
    mapped: Tensor
    """(..., T, C): the frames' part of the 1 x 1 convolution over [frame, relation token]."""


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
        own = torch.einsum("envc,eqtc->eqntv", self.frames, query)
        return own + torch.einsum("eqnc,eqtc->eqnt", self.shift, query).unsqueeze(-1)

    def squared_norms(self) -> Tensor:
        """(episodes, queries, videos, T)."""
        own = self.frames.square().sum(dim=-1).unsqueeze(1)
        mixed = torch.einsum("entc,eqnc->eqnt", self.frames, self.shift)
        return own + 2 * mixed + self.shift.square().sum(dim=-1, keepdim=True)

    def gram(self) -> Tensor:
        """Inner products of a video's frames: (episodes, queries, videos, T, T)."""
        own = (self.frames @ self.frames.mT).unsqueeze(1)
        mixed = torch.einsum("entc,eqnc->eqnt", self.frames, self.shift)
        shift = self.shift.square().sum(dim=-1)[..., None, None]
        return own + mixed.unsqueeze(-1) + mixed.unsqueeze(-2) + shift


class InterRelation(nn.Module):
    """Multi-head attention among videos, with residual and the normalisation last, then ReLU."""

    def __init__(self, channels: int, heads: int) -> None:
        """Build it with the authors' initial weights."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(INTER_DROPOUT)
        for projection in (self.query, self.key, self.value):
            nn.init.normal_(projection.weight, std=(2 / (channels + channels // heads)) ** 0.5)
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., videos, C) -> (..., videos, C), one token a video."""
        dropout = WEIGHT_DROPOUT if self.training else 0.0
        projected = (self.query(tokens), self.key(tokens), self.value(tokens))
        read = self.dropout(self.out(attend(*projected, self.heads, dropout)))
        return relu(self.norm(tokens + read))


@register
class HyRSM(Method):
    """Hybrid relations within a video and between the videos of an episode, matched as sets."""

    name = "hyrsm"
    revision = 1
    source = (
        "Wang et al., CVPR 2022, arXiv:2204.13423; alibaba-mmai-research/HyRSM at"
        " 82100b6; coherence term: HyRSM++, arXiv:2301.03330, as in alibaba-mmai-research/MoLo"
    )
    differs = (
        "frozen features instead of a trained backbone; any number of shots in either form (at"
        " one shot both are equal); 8 heads only if they divide the channels, else the largest"
        " number that divides both; the frame classifier only where classes are given"
    )
    needs = "frames"
    order_aware = True
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "hyrsm-supports": {"form": "supports"},
        "hyrsm-plus-plus": {"coherence_weight": 0.3},
    }
    authors_names: ClassVar[Mapping[str, str]] = {
        "temporal_atte_before.norm.weight": "intra.norm.weight",
        "temporal_atte_before.norm.bias": "intra.norm.bias",
        "temporal_atte_before.fn.to_qkv.weight": "intra.project_in.weight",
        "temporal_atte_before.fn.to_out.0.weight": "intra.project_out.weight",
        "temporal_atte_before.fn.to_out.0.bias": "intra.project_out.bias",
        "temporal_atte.w_qs.weight": "inter.query.weight",
        "temporal_atte.w_ks.weight": "inter.key.weight",
        "temporal_atte.w_vs.weight": "inter.value.weight",
        "temporal_atte.fc.weight": "inter.out.weight",
        "temporal_atte.fc.bias": "inter.out.bias",
        "temporal_atte.layer_norm.weight": "inter.norm.weight",
        "temporal_atte.layer_norm.bias": "inter.norm.bias",
        "layer2.0.weight": "merge.weight",
        "layer2.0.bias": "merge.bias",
        "classification_layer.weight": "head.weight",
        "classification_layer.bias": "head.bias",
    }
    Settings = HyRSMSettings
    settings: HyRSMSettings

    def __init__(self, shape: FeatureShape, settings: HyRSMSettings | None = None) -> None:
        """Build the method for features of ``shape``."""
        super().__init__(shape, settings)
        channels, classes = shape.channels, self.settings.classes
        heads = heads_for(channels, self.settings.heads)
        self.place_dropout = nn.Dropout(POSITION_DROPOUT)
        self.intra = SelfAttention(channels, heads, INTRA_DROPOUT)
        self.inter = InterRelation(channels, heads)
        self.merge = nn.Linear(2 * channels, channels)
        self.head = nn.Linear(channels, classes) if classes else None

    def encode(self, features: Tensor) -> Videos:
        """(videos, C, T, H, W) -> frames related to each other, (videos, T, C) twice."""
        options = self.settings
        frames = frame_vectors(in_own_precision(self, features))
        placed = hyrsm_positions(frames, options.position_a, options.position_b)
        related = relu(self.intra(self.place_dropout(placed)))
        return Videos(related, linear(related, self._frame_weight))

    def adapt(self, support: Videos) -> Videos:
        """(episodes, way, shot, T, C) -> (episodes, way, 1 or shot, T, C)."""
        if self.settings.form == "supports":
            return support
        return Videos(*(tensor.mean(dim=2, keepdim=True) for tensor in support))

    def score(self, state: Videos, query: Videos) -> Tensor:
        """Minus the distance of the enriched query to each class: (episodes, queries, way)."""
        return self._match(*self._relate(state, query), state.frames.shape[1])

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the episode and of the frames; HyRSM++: temporal coherence."""
        shots, queries = cast(Videos, episodes.support), cast(Videos, episodes.query)
        support, query = self._relate(self.adapt(shots), queries)
        scores = self._match(support, query, episodes.classes.shape[1])
        terms = {"episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())}
        if self.head is not None:
            terms["frames"] = self.settings.class_weight * _frame_loss(self.head, episodes)
        if self.settings.coherence_weight:
            own = query.unsqueeze(2) @ query.unsqueeze(2).mT
            incoherence = _incoherence(support.gram()) + _incoherence(own)
            terms["coherence"] = self.settings.coherence_weight * incoherence
        return terms

    @property
    def _frame_weight(self) -> Tensor:
        """Columns of the 1 x 1 convolution that see the frame."""
        return self.merge.weight[:, : self.shape.channels]

    def _relate(self, state: Videos, query: Videos) -> tuple[Shifted, Tensor]:
        """Enrich supports, and queries (episodes, queries, T, C), by what videos tell each other.

        Each query is related with the supports by itself, so they are enriched anew for it.
        """
        supports = state.frames.mean(dim=-2).flatten(1, 2)
        queries = query.frames.mean(dim=-2)
        shared = supports.unsqueeze(1).expand(-1, queries.shape[1], -1, -1)
        tokens = self.inter(torch.cat([shared, queries.unsqueeze(2)], dim=2))
        shifts = linear(tokens, self.merge.weight[:, self.shape.channels :], self.merge.bias)
        enriched = query.mapped + shifts[:, :, -1:]
        return Shifted(state.mapped.flatten(1, 2), shifts[:, :, :-1]), enriched

    def _match(self, support: Shifted, query: Tensor, way: int) -> Tensor:
        """Minus the mean over a class's members of the set distance: (episodes, queries, way)."""
        query_norms = _roots(query.square().sum(dim=-1))[:, :, None, :, None]
        support_norms = _roots(support.squared_norms()).unsqueeze(-2)
        cosines = support.products(query) / (query_norms * support_norms)
        distances = hausdorff_distances(1 - cosines)
        return -distances.reshape(*distances.shape[:2], way, -1).mean(dim=-1)


def _frame_loss(head: nn.Module, episodes: LabelledEpisodes) -> Tensor:
    """Mean cross-entropy of every frame of every video among the training classes."""
    support, query = episodes.support[0], episodes.query[0]
    frames = torch.cat([support.flatten(0, 3), query.flatten(0, 2)])
    of_support = episodes.classes[..., None, None].expand(support.shape[:4])
    of_query = episodes.classes.gather(1, episodes.labels)[..., None].expand(query.shape[:3])
    labels = torch.cat([of_support.flatten(), of_query.flatten()])
    return cross_entropy(head(frames), labels)


def _roots(squares: Tensor) -> Tensor:
    """Lengths from squared ones, never zero: a zero vector has cosine 0 with all others."""
    return squares.clamp(min=1e-24).sqrt()


def _incoherence(gram: Tensor) -> Tensor:
    """How much neighbouring frames differ and distant ones agree: (..., T, T) -> ().

    ``gram`` holds inner products. With cosine distances d: d_ij / ((i - j)^2 + 1) for neighbours
    (|i - j| <= 1), else 10 relu(1 - exp(-(|i - j| - 1)^2 / 51) - d_ij).
    """
    norms = _roots(gram.diagonal(dim1=-2, dim2=-1))
    distances = 1 - gram / (norms.unsqueeze(-1) * norms.unsqueeze(-2))
    time = torch.arange(gram.shape[-1], device=gram.device, dtype=gram.dtype)
    apart = (time[:, None] - time).abs()
    near = distances / (apart.square() + 1)
    wanted = 1 - torch.exp(-(apart - 1).square() / FAR_WIDTH)
    far = FAR_WEIGHT * relu(wanted - distances)
    return torch.where(apart <= 1, near, far).mean()


FORMS: Mapping[str, Literal["prototypes", "supports"]] = {
    "hyrsm_1shot": "supports",
    "hyrsm_5shot": "prototypes",
}
"""The authors' two classes, and the form that each computes."""


def _authors_method(golden: Golden, output: str) -> HyRSM:
    family = output.split("/", maxsplit=1)[0]
    weights = golden.weights(f"{family}/weight/")
    classes = len(weights["classification_layer.weight"])
    settings = HyRSMSettings(form=FORMS[family], classes=classes)
    method = HyRSM(stored_shape(golden), settings)
    adopt(method, weights)
    return method


@reproduces("hyrsm_1shot/logits", "hyrsm_5shot/logits")
def _reproduce_logits(golden: Golden, output: str) -> Tensor:
    return scores_of(golden, _authors_method(golden, output))


@reproduces("hyrsm_1shot/class_logits", "hyrsm_5shot/class_logits")
def _reproduce_class_logits(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, output)
    videos = torch.cat([golden.tensor("support"), golden.tensor("query")])
    logits: Tensor = cast(nn.Linear, method.head)(method.encode(as_maps(videos)).frames)
    return logits.flatten(0, 1)
