"""Spatio-temporal relation modelling (STRM): enriched patches and frames, then tuples of frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from bench.reference import Golden, adopt, reproduces
from methods._positions import usual_table
from methods._precision import in_own_precision
from methods._reference_episode import encode_episode, feature_shape
from methods._tuples import POSITION_SCALE, TupleAttention, project_tuples, tuple_scores

PATCHES = 4
"""Rows and columns of patches that a frame is pooled to."""


@dataclass(frozen=True)
class StrmSettings(Settings):
    """Settings of `STRM`."""

    cardinality: int = 2
    """Frames in a tuple."""
    width: int | None = None
    """Numbers that a tuple is mapped to; 1152, or all it has if fewer, unless given."""
    auxiliary: float = 0.1
    """Weight of the similarity of patch-enriched frames, in the scores and in the loss."""


class Enriched(NamedTuple):
    """Tuples of frames after both enrichments, and after the first one only."""

    keys: Tensor
    """(..., tuples, width)"""
    values: Tensor
    """(..., tuples, width)"""
    patch_tuples: Tensor
    """(..., tuples, C / 2): tuples of patch-enriched frames under a fixed random projection."""


def _two_layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


def _with_positions(tokens: Tensor) -> Tensor:
    """(..., tokens, C) -> the same with a tenth of the positional table added."""
    return tokens + POSITION_SCALE * usual_table(tokens.shape[-2], tokens.shape[-1], like=tokens)


class PatchEnrichment(nn.Module):
    """Let the patches of a frame attend to each other, then a small network at each patch."""

    def __init__(self, channels: int) -> None:
        """Build it; the gate of the attention starts closed."""
        super().__init__()
        half = max(1, channels // 2)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.gate = nn.Parameter(torch.zeros(1))
        self.network = nn.Sequential(
            *(nn.Linear(channels, half), nn.ReLU(), nn.Linear(half, half), nn.ReLU()),
            nn.Linear(half, channels),
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, maps: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors, (videos, T, C)."""
        frames = maps.transpose(1, 2)
        pooled = adaptive_max_pool2d(frames.flatten(0, 1), PATCHES).flatten(2).transpose(1, 2)
        patches = self.dropout(_with_positions(pooled))
        # The authors do not divide by the root of the channels.
        shares = (self.query(patches) @ self.key(patches).mT).softmax(dim=-1)
        patches = patches + self.gate * (shares @ self.value(patches))
        enriched: Tensor = (patches + self.network(patches)).mean(dim=1)
        return enriched.reshape(*frames.shape[:3])


class FrameEnrichment(nn.Module):
    """Mix the frames of a video channel by channel, then the channels frame by frame."""

    def __init__(self, frames: int, channels: int) -> None:
        """Build both networks."""
        super().__init__()
        self.mix_frames = _two_layers(frames)
        self.mix_channels = _two_layers(channels)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Tensor) -> Tensor:
        """(videos, T, C) -> (videos, T, C)."""
        frames = self.dropout(_with_positions(frames))
        frames = frames + self.mix_frames(frames.mT).mT
        enriched: Tensor = frames + self.mix_channels(frames)
        return enriched


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
        keys, values = self.tuples(self.frames(frames))
        return Enriched(keys, values, patch_tuples)

    def adapt(self, support: Enriched) -> Enriched:
        """Keep the tuples of the support videos, each (episodes, way, shot, tuples, ...)."""
        return support

    def score(self, state: Enriched, query: Enriched) -> Tensor:
        """Tuples (episodes, queries, tuples, ...) -> (episodes, queries, way)."""
        main, auxiliary = self.both_scores(state, query)
        return main + self.settings.auxiliary * auxiliary

    def both_scores(self, state: Enriched, query: Enriched) -> tuple[Tensor, Tensor]:
        """Scores of both enrichments and of the first alone, each (episodes, queries, way)."""
        main = tuple_scores((state.keys, state.values), (query.keys, query.values))
        return main, nearest_tuple_scores(state.patch_tuples, query.patch_tuples)

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


def nearest_tuple_scores(support: Tensor, query: Tensor) -> Tensor:
    """Minus the mean distance of query tuples to the nearest of any support video of a class.

    (episodes, way, shot, tuples, D) and (episodes, queries, tuples, D) -> (episodes, queries, way)
    """
    # The distances are not made for two bytes.
    wide = torch.promote_types(query.dtype, torch.float32)
    tuples = query.flatten(1, 2).to(wide)
    scores = []
    # One class at a time keeps the distances of all pairs of tuples small.
    for of_class in support.flatten(2, 3).unbind(dim=1):
        # The default above 25 rows would let distances depend on how many queries there are.
        distances = torch.cdist(
            tuples, of_class.to(wide), compute_mode="donot_use_mm_for_euclid_dist"
        )
        scores.append(-distances.amin(dim=-1).reshape(query.shape[:3]).mean(dim=-1))
    return torch.stack(scores, dim=-1).to(query.dtype)


@reproduces("strm/logits", "strm/logits_frame", "strm/logits_patch")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of the authors."""
    weights = golden.weights("strm/weight/")
    support, query = (golden.tensor(key).transpose(1, 2) for key in ("support", "query"))
    shape = feature_shape(query)
    width, length = weights["transformers.0.k_linear.weight"].shape
    settings = StrmSettings(cardinality=length // shape.channels, width=width)
    method = STRM(shape, settings)
    adopt(method, weights)
    encoded = encode_episode(method, golden, support, query)
    state = method.adapt(encoded.support)
    main, auxiliary = method.both_scores(state, encoded.query)
    scores = {"strm/logits_frame": main, "strm/logits_patch": auxiliary}
    return scores.get(output, method.score(state, encoded.query))[0]
