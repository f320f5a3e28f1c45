"""MASTAF: self- and cross-attention over the positions of feature maps, and its ablations."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from bench.method import FeatureShape, LabelledEpisodes, Method, register
from methods._branches import Branch, pooled_scores, position_entropy, position_scores
from methods._map_attention import MapAttention, MastafSettings, MetaLearner
from methods._position_attention import Positions, as_positions, pooled_grid, without_pieces
from methods._precision import in_own_precision


def _layer_names(theirs: str, ours: str, *kinds: str) -> dict[str, str]:
    """Authors' names of a layer's tensors -> ours; its weight and bias, and other ``kinds``."""
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias", *kinds)}


@register
class Mastaf(Method):
    """Compare pooled maps whose positions were weighted by self- and by cross-attention.

    Source: code lxhit/STAF; the steps are relations (cosines of positions), a kernel made from
    their means, a softmax over positions, a residual, a cosine of the pooled maps.

    A positive factor of a position cancels in its cosine, so the query's attention cancels in
    the nearest-neighbour loss: only the global loss reaches the query's cross-attention, and none
    its self-attention, which trains through the shared meta-learner alone.
    """

    name = "mastaf"
    revision = 1
    source = (
        "Liu, Zhang, Pirsiavash, Liu, WACV 2023, arXiv:2112.04585; code lxhit/STAF at 10c7d9a,"
        " models/cam_r3d.py"
    )
    differs = (
        "any grid, pooled to at most 49 positions (time first; the authors' is 1x7x7), so that the"
        " order of frames counts only where they have fewer than 25; batch norm is always applied,"
        " where the authors skip it for the self-attention of a lone query (batch_norm=reference);"
        " the backbone is frozen. As in the authors' design, no loss"
        " reaches the self-attention of a query but through the shared meta-learner. Self and"
        " Cross are models of their own with scale 7; Self feeds its own map, Neighbor the plain"
        " map to the global head; No-Global keeps the factor 0.5 of the other loss"
    )
    needs = "maps"
    order_aware = False
    Settings = MastafSettings
    settings: MastafSettings
    without_gradient: ClassVar[Mapping[str, str]] = {
        "learner.squeeze.bias": "the batch norm behind it takes it off again"
    }
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mastaf-no-global": {"global_weight": 0.0},
        "mastaf-noml-mean": {"kernel": "mean"},
        "mastaf-nores": {"residual": False},
        "mastaf-self": {"branches": "self"},
        "mastaf-cross": {"branches": "cross"},
        "mastaf-neighbor": {"branches": "none"},
    }
    authors_names: ClassVar[Mapping[str, str]] = {
        **_layer_names("cam.conv1.conv", "learner.squeeze"),
        **_layer_names("cam.conv1.bn", "learner.norm", "running_mean", "running_var"),
        **_layer_names("cam.conv2", "learner.expand"),
        **_layer_names("classifier", "head"),
    }

    def __init__(self, shape: FeatureShape, settings: MastafSettings | None = None) -> None:
        """Build the meta-learner for the pooled grid, and the head where there are classes."""
        super().__init__(shape, settings)
        own = self.settings
        self.grid = pooled_grid(shape, own.positions)
        learns = own.kernel == "learned" and own.branches != "none"
        self.learner = MetaLearner(math.prod(self.grid), own.hidden) if learns else None
        self.has_head = own.classes > 0 and own.global_weight > 0
        if self.has_head:
            self.head = nn.Linear(shape.channels, own.classes)
        # The authors' checkpoints also hold what this set of settings does without.
        held = self.state_dict()
        names = {theirs: ours for theirs, ours in self.authors_names.items() if ours in held}
        self.authors_names = names  # type: ignore[misc]

    def encode(self, features: Tensor) -> Positions:
        """(videos, C, T, H, W) -> positions and their attention to themselves, videos first."""
        plain = self.attention.positions(as_positions(in_own_precision(self, features), self.grid))
        if self.settings.batch_norm == "reference":
            return plain  # There the attention of a query depends on how many queries there are.
        encoded = self.attention.to_itself(plain)
        crosses = self.settings.branches in ("both", "cross")
        return encoded if crosses else without_pieces(encoded)

    def adapt(self, support: Positions) -> Any:
        """(episodes, way, shot, ...) -> prototypes (episodes, way, ...)."""
        return self.prototypes(support)

    def prototypes(self, support: Positions) -> Positions:
        """Mean map of each class: (episodes, way, shot, ...) -> (episodes, way, ...)."""
        if support.maps.shape[2] == 1 and self.settings.batch_norm == "default":
            return Positions(*(tensor[:, :, 0] for tensor in support))
        return self.attention.to_itself(self.attention.positions(support.maps.mean(dim=2)))

    def score(self, prototypes: Positions, query: Positions) -> Tensor:
        """(episodes, queries, ...) -> cosines of pooled maps, (episodes, queries, way)."""
        return self.settings.scale * pooled_scores(self.compare(prototypes, query), query)

    @property
    def attention(self) -> MapAttention:
        """How maps attend to each other."""
        return MapAttention(self.settings, self.learner)

    def compare(self, prototypes: Positions, query: Positions) -> list[Branch]:
        """Return the branches that take part, the cross branch first."""
        return self.attention.compare(prototypes, query)

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Nearest class at every position, and training class at every position."""
        support, query = cast(Positions, episodes.support), cast(Positions, episodes.query)
        classes = episodes.classes.gather(1, episodes.labels)
        return self.losses(support, query, episodes.labels, classes)

    def losses(
        self, support: Positions, query: Positions, labels: Tensor, classes: Tensor
    ) -> dict[str, Tensor]:
        """Both losses, times their weights.

        Support (episodes, way, shot, ...), query (episodes, queries, ...); of each query its way
        and its training class, ``labels`` and ``classes`` (episodes, queries).
        """
        branches = self.compare(self.prototypes(support), query)
        local = self.local_scores(branches, query)
        terms = {"nearest": self.settings.lamda * position_entropy(local, labels)}
        if self.has_head:
            logits = self.global_logits(branches, query, labels)
            terms["global"] = self.settings.global_weight * position_entropy(logits, classes)
        return terms

    def local_scores(self, branches: list[Branch], query: Positions) -> Tensor:
        """Scores of the single positions of a query, (episodes, queries, way, L)."""
        return self.settings.scale * position_scores(branches, query)

    def global_logits(self, branches: list[Branch], query: Positions, labels: Tensor) -> Tensor:
        """Training class at each position of the map attended with the query's true class.

        labels (episodes, queries) -> (episodes, queries, classes, L)
        """
        logits: Tensor = self.head(branches[0].attended_with(query, labels))
        return logits.transpose(2, 3)
