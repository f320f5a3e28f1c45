"""MASTAF: self- and cross-attention over the positions of feature maps, and its ablations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._position_attention import (
    MetaLearner,
    Positions,
    as_positions,
    pooled_cosines,
    pooled_grid,
    pooled_relations,
    position_cosines,
    position_entropy,
    weighted_relations,
    without_attention,
)
from methods._precision import in_own_precision


@dataclass(frozen=True)
class MastafSettings(Settings):
    """What the authors' command line offers, and what their ablations switch."""

    positions: int = 49
    """Most positions a map keeps; time is pooled first, then space. The authors have 1x7x7."""
    alpha: float = 1.0
    """Weight of the self branch; the cross branch has weight 1."""
    scale: float = 7.0
    """Factor of the cosines: the sharpness of the softmax in the loss."""
    temperature: float = 0.025
    """Of the softmax over positions."""
    hidden: int = 6
    """Width of the meta-learner, at 36 positions (CAN) and at 49 alike."""
    kernel: Literal["learned", "mean"] = "learned"
    """Whether a meta-learner makes the kernel from the pooled relations, or they are it."""
    residual: bool = True
    """Whether attention is added to the map (1 + gain * softmax) or replaces it (softmax)."""
    residual_gain: float = 1.0
    """Gain in 1 + gain * softmax; positions / 49 keeps the authors' ratio on other grids."""
    branches: Literal["both", "self", "cross", "none"] = "both"
    """Which attention takes part; "none" compares the plain maps."""
    batch_norm: Literal["default", "reference"] = "default"
    """"reference" leaves it out for the self-attention of a lone query, as the authors do."""
    lamda: float = 0.5
    """Weight of the nearest-neighbour loss."""
    global_weight: float = 1.0
    """Weight of the loss of classifying among all training classes."""
    classes: int = 0
    """Training classes of the global head; 0 builds no head and leaves its loss out."""


class Branch(NamedTuple):
    """One way to compare queries with classes; 1 stands for what a branch does not look at."""

    weight: float
    attention: Tensor
    """(episodes, way or 1, queries, L): factor of each position of the query."""
    prototype: Tensor
    """(episodes, way, queries or 1, C): the attended map of the class, pooled."""


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
        "cam.conv1.conv.weight": "learner.squeeze.weight",
        "cam.conv1.conv.bias": "learner.squeeze.bias",
        "cam.conv1.bn.weight": "learner.norm.weight",
        "cam.conv1.bn.bias": "learner.norm.bias",
        "cam.conv1.bn.running_mean": "learner.norm.running_mean",
        "cam.conv1.bn.running_var": "learner.norm.running_var",
        "cam.conv2.weight": "learner.expand.weight",
        "cam.conv2.bias": "learner.expand.bias",
        "classifier.weight": "head.weight",
        "classifier.bias": "head.bias",
    }

    def __init__(self, shape: FeatureShape, settings: MastafSettings | None = None) -> None:
        """Build the meta-learner for the pooled grid, and the head where there are classes."""
        super().__init__(shape, settings)
        own = self.settings
        self.grid = pooled_grid(shape, own.positions)
        if own.kernel == "learned" and own.branches != "none":
            self.learner = MetaLearner(math.prod(self.grid), own.hidden)
        self.has_head = own.classes > 0 and own.global_weight > 0
        if self.has_head:
            self.head = nn.Linear(shape.channels, own.classes)
        # The authors' checkpoints also hold what this set of settings does without.
        held = self.state_dict()
        names = {theirs: ours for theirs, ours in self.authors_names.items() if ours in held}
        self.authors_names = names  # type: ignore[misc]

    def encode(self, features: Tensor) -> Positions:
        """(videos, C, T, H, W) -> positions and their attention to themselves, videos first."""
        plain = without_attention(as_positions(in_own_precision(self, features), self.grid))
        if self.settings.batch_norm == "reference":
            return plain  # There the attention of a query depends on how many queries there are.
        return self._attend_to_itself(plain)

    def adapt(self, support: Positions) -> Any:
        """(episodes, way, shot, ...) -> prototypes (episodes, way, ...)."""
        return self.prototypes(support)

    def prototypes(self, support: Positions) -> Positions:
        """Mean map of each class: (episodes, way, shot, ...) -> (episodes, way, ...)."""
        if support.maps.shape[2] == 1 and self.settings.batch_norm == "default":
            return Positions(*(tensor[:, :, 0] for tensor in support))
        return self._attend_to_itself(without_attention(support.maps.mean(dim=2)))

    def score(self, prototypes: Positions, query: Positions) -> Tensor:
        """(episodes, queries, ...) -> cosines of pooled maps, (episodes, queries, way)."""
        cosines = (
            branch.weight * pooled_cosines(query, branch.attention, branch.prototype)
            for branch in self.compare(prototypes, query)
        )
        return self.settings.scale * torch.stack(list(cosines)).sum(dim=0).transpose(1, 2)

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Nearest class at every position, and training class at every position."""
        support: Any = episodes.support
        query: Any = episodes.query
        classes = episodes.classes.gather(1, episodes.labels)
        return self.losses(support, query, episodes.labels, classes)

    def losses(
        self, support: Positions, query: Positions, labels: Tensor, classes: Tensor
    ) -> dict[str, Tensor]:
        """Both losses, times their weights.

        Args:
            support: (episodes, way, shot, ...).
            query: (episodes, queries, ...).
            labels: (episodes, queries), the way that a query belongs to.
            classes: (episodes, queries), its training class.
        """
        branches = self.compare(self.prototypes(support), query)
        local = self.local_scores(branches, query)
        terms = {"nearest": self.settings.lamda * position_entropy(local, labels)}
        if self.has_head:
            logits = self.global_logits(branches, query, labels)
            terms["global"] = self.settings.global_weight * position_entropy(logits, classes)
        return terms

    def _attention(self, own: Positions, other: Positions, normalise: bool = True) -> Tensor:
        """Attention over the positions of ``own``, given ``other``.

        (episodes, A, ...), (episodes, B, ...) -> (episodes, A, B, L)
        """
        kernel = pooled_relations(own, other)
        if self.settings.kernel == "learned":
            kernel = self.learner(kernel, normalise)
        scores = weighted_relations(own, other, kernel)
        share = torch.softmax(scores / self.settings.temperature, dim=-1)
        return 1 + self.settings.residual_gain * share if self.settings.residual else share

    def _attend_to_itself(self, plain: Positions) -> Positions:
        """(..., A, L, C) -> the same with self-attention, if the branches ask for it."""
        if self.settings.branches in ("cross", "none"):
            return plain
        maps, lengths = plain.maps, plain.lengths
        one = maps.flatten(0, -3)[:, None], lengths.flatten(0, -2)[:, None]
        alone = Positions(*one, attention=one[1])
        lone = self.settings.batch_norm == "reference" and maps.shape[-3] == 1
        attention = self._attention(alone, alone, normalise=not lone)
        return Positions(maps, lengths, attention.reshape(lengths.shape))

    def compare(self, prototypes: Positions, query: Positions) -> list[Branch]:
        """Return the branches that take part, the cross branch first."""
        kind, alpha = self.settings.branches, self.settings.alpha
        branches = []
        if kind in ("both", "cross"):
            branches.append(self._cross_branch(prototypes, query))
        if kind in ("both", "self", "none"):
            branches.append(self._self_branch(prototypes, query, alpha if branches else 1.0))
        return branches

    def _cross_branch(self, prototypes: Positions, query: Positions) -> Branch:
        """Let every class and every query attend to each other."""
        of_class = self._attention(prototypes, query)
        of_query = self._attention(query, prototypes).transpose(1, 2)
        return Branch(1.0, of_query, (of_class @ prototypes.maps))

    def _self_branch(self, prototypes: Positions, query: Positions, weight: float) -> Branch:
        """Compare maps that attended to themselves, or to nothing."""
        if self.settings.batch_norm == "reference":
            query = self._attend_to_itself(query)
        pooled = prototypes.attention.unsqueeze(2) @ prototypes.maps
        return Branch(weight, query.attention[:, None], pooled)

    def local_scores(self, branches: list[Branch], query: Positions) -> Tensor:
        """Scores of the single positions of a query, (episodes, queries, way, L)."""
        cosines = (
            branch.weight * position_cosines(query, branch.attention, branch.prototype)
            for branch in branches
        )
        return self.settings.scale * torch.stack(list(cosines)).sum(dim=0).transpose(1, 2)

    def global_logits(self, branches: list[Branch], query: Positions, labels: Tensor) -> Tensor:
        """Training class at each position of the map attended with the query's true class.

        labels (episodes, queries) -> (episodes, queries, classes, L)
        """
        attention = branches[0].attention
        # Self-attention is the same for all classes, so that it has only one entry to pick.
        way = labels.clamp(max=attention.shape[1] - 1)
        index = way[:, None, :, None].expand(-1, 1, -1, attention.shape[-1])
        attended = query.maps * attention.gather(1, index)[:, 0, :, :, None]
        logits: Tensor = self.head(attended)
        return logits.transpose(2, 3)
