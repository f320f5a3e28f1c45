"""HyRSM: videos enriched by their own frames and by the videos of the episode, then matched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._inter_relation import InterRelation, Tokens
from methods._precision import in_own_precision
from methods._related_videos import Videos, frame_loss
from methods._shifted import OwnFrames, Shifted, squared_lengths
from methods.parts.attention import SelfAttention, heads_for
from methods.parts.frames import frame_vectors
from methods.parts.positions import hyrsm_positions

POSITION_DROPOUT, INTRA_DROPOUT = 0.1, 0.2
"""Authors' dropout: after the positions, and in the attention among frames."""


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
        """(videos, C, T, H, W) -> frames related to each other, and tokens of the videos."""
        options = self.settings
        frames = frame_vectors(in_own_precision(self, features))
        placed = hyrsm_positions(frames, options.position_a, options.position_b)
        related = relu(self.intra(self.place_dropout(placed)))
        mapped = linear(related, self._frame_weight)
        kept = related if self.head is not None else related[:, :0]
        tokens = self.inter.project(related.mean(dim=1))
        return Videos(kept, mapped, squared_lengths(mapped), *tokens)

    def adapt(self, support: Videos) -> Videos:
        """(episodes, way, shot, T, C) -> (episodes, way, 1 or shot, T, C)."""
        if self.settings.form == "supports" or support.mapped.shape[2] == 1:
            return support
        mean = Videos(*(tensor.mean(dim=2, keepdim=True) for tensor in support))
        return mean._replace(squares=squared_lengths(mean.mapped))

    def score(self, state: Videos, query: Videos) -> Tensor:
        """Minus the distance of the enriched query to each class: (episodes, queries, way)."""
        return self._scores(self._relate(state, query), state.mapped.shape[1])

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of the episode and of the frames; HyRSM++: temporal coherence."""
        shots, queries = cast(Videos, episodes.support), cast(Videos, episodes.query)
        related = self._relate(self.adapt(shots), queries)
        scores = self._scores(related, episodes.classes.shape[1])
        terms = {"episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())}
        if self.head is not None:
            terms["frames"] = self.settings.class_weight * frame_loss(self.head, episodes)
        if self.settings.coherence_weight:
            terms["coherence"] = self.settings.coherence_weight * related.incoherence()
        return terms

    @property
    def _frame_weight(self) -> Tensor:
        """Columns of the 1 x 1 convolution that see the frame."""
        return self.merge.weight[:, : self.shape.channels]

    def _relate(self, state: Videos, query: Videos) -> Shifted:
        """Enrich supports and queries by what videos tell each other.

        Each query is related with the supports by itself, so they are enriched anew for it.
        """
        supports = Tokens(*(part.flatten(1, 2) for part in state.tokens))
        tokens = self.inter(supports, query.tokens)
        shifts = linear(tokens, self.merge.weight[:, self.shape.channels :], self.merge.bias)
        own = OwnFrames(state.mapped.flatten(1, 2), state.squares.flatten(1, 2))
        return Shifted(own, OwnFrames(query.mapped, query.squares), shifts)

    def _scores(self, related: Shifted, way: int) -> Tensor:
        """Minus the mean over a class's members of the set distance: (episodes, queries, way)."""
        distances: Tensor = related.set_distances().unflatten(2, (way, -1))
        return -distances.mean(dim=-1)
