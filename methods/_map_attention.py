"""MASTAF's attention of maps to each other and to themselves, as its settings have it."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from bench.method import Settings
from methods._branches import Branch
from methods._position_attention import (
    Positions,
    pooled_relations,
    weighted_relations,
)


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


class MetaLearner(nn.Module):
    """Makes a kernel over positions from the relations, pooled to one number a position."""

    def __init__(self, positions: int, hidden: int) -> None:
        """Two linear maps, initialised as the authors do: N(0, sqrt(2 / outputs))."""
        super().__init__()
        self.squeeze = nn.Linear(positions, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Linear(hidden, positions)
        for layer in (self.squeeze, self.expand):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))

    def forward(self, pooled: Tensor, normalise: bool = True) -> Tensor:
        """(..., L) -> (..., L)."""
        hidden = self.squeeze(pooled.reshape(-1, pooled.shape[-1]))
        # A single map has no batch statistics to be trained with.
        if normalise and not (self.training and len(hidden) == 1):
            hidden = self.norm(hidden)
        kernel: Tensor = self.expand(relu(hidden))
        return kernel.reshape(pooled.shape)


class MapAttention(NamedTuple):
    """How maps attend: the settings, and the meta-learner where they ask for one."""

    settings: MastafSettings
    learner: MetaLearner | None

    def between(self, own: Positions, other: Positions, normalise: bool = True) -> Tensor:
        """Attention over the positions of ``own``, given ``other``.

        (episodes, A, ...), (episodes, B, ...) -> (episodes, A, B, L)
        """
        kernel = pooled_relations(own, other)
        if self.learner is not None:
            kernel = self.learner(kernel, normalise)
        scores = weighted_relations(own, other, kernel)
        share = torch.softmax(scores / self.settings.temperature, dim=-1)
        return 1 + self.settings.residual_gain * share if self.settings.residual else share

    def to_itself(self, plain: Positions) -> Positions:
        """(..., A, L, C) -> the same with self-attention, if the branches ask for it."""
        if self.settings.branches in ("cross", "none"):
            return plain
        lead = plain.lengths.shape[:-1]
        alone = Positions(*(tensor.flatten(0, len(lead) - 1)[:, None] for tensor in plain))
        lone = self.settings.batch_norm == "reference" and lead[-1] == 1
        attention = self.between(alone, alone, normalise=not lone)
        return plain.attended(attention.reshape(plain.lengths.shape))

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
        of_class = self.between(prototypes, query)
        of_query = self.between(query, prototypes).transpose(1, 2)
        return Branch(1.0, of_query, of_class @ prototypes.maps)

    def _self_branch(self, prototypes: Positions, query: Positions, weight: float) -> Branch:
        """Compare maps that attended to themselves, or to nothing."""
        if self.settings.batch_norm == "reference":
            query = self.to_itself(query)
        of_class, of_query = prototypes.pooled.unsqueeze(2), query.pooled[:, None]
        return Branch(weight, query.attention[:, None], of_class, of_query)
