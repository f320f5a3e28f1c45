"""Spatio-temporal relation modelling (STRM): enriched patches and frames, then tuples of frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._enriched_tuples import Enriched, nearest_tuple_scores
from methods._enrichment import FrameEnrichment, PatchEnrichment
from methods._precision import in_own_precision, wide
from methods._tuple_attention import TupleAttention
from methods._tuple_parts import TupleParts
from methods.parts.tuples import project_tuples


@dataclass(frozen=True)
class StrmSettings(Settings):
    """Settings of `STRM`."""

    cardinality: int = 2
    """Frames in a tuple."""
    width: int | None = None
    """Numbers that a tuple is mapped to; 1152, or all it has if fewer, unless given."""
    auxiliary: float = 0.1
    """Weight of the similarity of patch-enriched frames, in the scores and in the loss."""


def _authors_names() -> dict[str, str]:
    modules = {
        "transformers.0.k_linear": "tuples.key",
        "transformers.0.v_linear": "tuples.value",
        "transformers.0.norm_k": "tuples.norm",
        "attn_pat.query_proj": "patches.query",
        "attn_pat.key_proj": "patches.key",
        "attn_pat.value_conv": "patches.value",
        "attn_pat.Bot_MLP.inp_fc": "patches.network.0",
        "attn_pat.Bot_MLP.hid_fc": "patches.network.2",
        "attn_pat.Bot_MLP.out_fc": "patches.network.4",
        "fr_enrich.Tok_MLP.inp_fc": "frames.mix_frames.0",
        "fr_enrich.Tok_MLP.out_fc": "frames.mix_frames.2",
        "fr_enrich.Bot_MLP.inp_fc": "frames.mix_channels.0",
        "fr_enrich.Bot_MLP.out_fc": "frames.mix_channels.2",
    }
    names = {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    fixed = {f"query_distance.0.clsW.{kind}": f"fixed_{kind}" for kind in ("weight", "bias")}
    return names | fixed | {"attn_pat.gamma": "patches.gate"}


@register
class STRM(Method):
    """TRX on frames whose patches and whose times have been related to each other first."""

    name = "strm"
    revision = 1
    source = (
        "Thatipelli, Narayan, Khan, Anwer, Khan, Ghanem, CVPR 2022, arXiv:2112.05132;"
        " Anirudh257/strm, model.py, with its scripts' tuples of 2"
    )
    differs = (
        "nothing from the authors' code; as there, the projection of the auxiliary similarity stays"
        " as it was drawn, and the patches' attention gets no gradient while its gate is at its"
        " start, 0. A map never widens: 1152 numbers for a tuple, or as many as it has if fewer;"
        " the loss is averaged, not summed, over queries"
    )
    needs = "maps"
    order_aware = True
    without_gradient: ClassVar[Mapping[str, str]] = {
        "patches.key.bias": "cancels in the softmax of the attention",
        "tuples.value.bias": "cancels in the difference of query and mixture",
    }
    authors_names: ClassVar[Mapping[str, str]] = _authors_names()
    Settings = StrmSettings
    settings: StrmSettings
    fixed_weight: Tensor
    fixed_bias: Tensor

    def __init__(self, shape: FeatureShape, settings: StrmSettings | None = None) -> None:
        """Build both enrichments and the tuples of frames."""
        super().__init__(shape, settings)
        size, width = self.settings.cardinality, self.settings.width
        self.patches = PatchEnrichment(shape.channels)
        self.frames = FrameEnrichment(shape.frames, shape.channels)
        self.tuples = TupleAttention(shape.frames, shape.channels, size, width)
        self.dropout = nn.Dropout(0.1)
        fixed = nn.Linear(self.tuples.key.in_features, max(1, shape.channels // 2))
        self.register_buffer("fixed_weight", fixed.weight.detach())
        self.register_buffer("fixed_bias", fixed.bias.detach())

    def encode(self, features: Tensor) -> Enriched:
        """(videos, C, T, H, W) -> its tuples."""
        frames = self.patches(in_own_precision(self, features))
        fixed = self.fixed_weight, self.fixed_bias
        patch_tuples = relu(project_tuples(self.dropout(frames), self.tuples.index, *fixed))
        energy = wide(patch_tuples).square().sum(dim=-1)
        parts: TupleParts = self.tuples(self.frames(frames))
        return Enriched(*parts, patch_tuples, energy)

    def adapt(self, support: Enriched) -> Enriched:
        """Keep the tuples of the support videos, each (episodes, way, shot, tuples, ...)."""
        return support

    def score(self, state: Enriched, query: Enriched) -> Tensor:
        """Tuples (episodes, queries, tuples, ...) -> (episodes, queries, way)."""
        main, auxiliary = self.both_scores(state, query)
        return main + self.settings.auxiliary * auxiliary

    def both_scores(self, state: Enriched, query: Enriched) -> tuple[Tensor, Tensor]:
        """Scores of both enrichments and of the first alone, each (episodes, queries, way)."""
        main = self.tuples.scores(state.parts, query.parts)
        return main, nearest_tuple_scores(state, query)

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Cross-entropy of both scores, that of the auxiliary one weighted."""
        labels = episodes.labels.flatten()
        support: Any = episodes.support
        query: Any = episodes.query
        main, auxiliary = self.both_scores(self.adapt(support), query)
        return {
            "frames": cross_entropy(main.flatten(0, 1), labels),
            "patches": self.settings.auxiliary * cross_entropy(auxiliary.flatten(0, 1), labels),
        }
