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
    mean_kernel,
    to_unit_length,
    weighted_relations,
    without_attention,
)
from methods._products import inner_products


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

    def pieces(self, plain: Positions) -> Positions:
        """Put beside a video what both layers make of it when others look at it."""
        directions = to_unit_length(plain.lengths).unsqueeze(-2)
        second = torch.cat([self.expand.weight.T, self.expand.bias.unsqueeze(0)])
        return plain._replace(
            squeezed=(self.squeeze.weight * directions) @ plain.maps,
            expanded=(second * directions / plain.maps.shape[-2]) @ plain.maps,
        )

    def hidden(self, squeezed: Tensor, normalise: bool = True) -> Tensor:
        """Output of the first layer, without its bias, to input of the second, (..., hidden)."""
        hidden = (squeezed + self.squeeze.bias).flatten(0, -2)
        # A single map has no batch statistics to be trained with.
        if normalise and not (self.training and len(hidden) == 1):
            hidden = self.norm(hidden)
        return relu(hidden).reshape(squeezed.shape)

    def scores(self, own: Positions, other: Positions, normalise: bool) -> Tensor:
        """Relations averaged with the kernel: (episodes, A, B, L) over the positions of ``own``.

        The kernel is linear in the hidden numbers, and the pooled relations in the positions: so
        neither is formed.
        """
        squeezed = inner_products(own.mean, other.squeezed.flatten(1, 2))
        hidden = self.hidden(squeezed.unflatten(2, other.squeezed.shape[1:3]), normalise)
        weights = torch.cat([hidden, torch.ones_like(hidden[..., :1])], dim=-1)
        return weighted_relations(own, other.expanded, weights)


class MapAttention(NamedTuple):
    """How maps attend: the settings, and the meta-learner where they ask for one."""

    settings: MastafSettings
    learner: MetaLearner | None

    def positions(self, maps: Tensor) -> Positions:
        """(..., L, C) -> the same, with attention 1, and ready to be attended to."""
        plain = without_attention(maps)
        return plain if self.learner is None else self.learner.pieces(plain)

    def between(self, own: Positions, other: Positions, normalise: bool = True) -> Tensor:
        """Attention over the positions of ``own``, given ``other``.

        (episodes, A, ...), (episodes, B, ...) -> (episodes, A, B, L)
        """
        if self.learner is not None:
            scores = self.learner.scores(own, other, normalise)
        else:
            scores = weighted_relations(own, other.maps, mean_kernel(own, other))
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
