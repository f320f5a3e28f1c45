"""MASTAF without relation maps: sums over positions come first, most of them once.

A relation map holds L x L numbers for each pair of videos, of which the attention takes two sums
only. Both are linear in the directions of the positions, p_i of the own and q_j of the other map:

- pooled relations: W1 m = sum_j W1_j mean_i (p_i . q_j) = (mean_i p_i) . (W1 q). W1 q, a vector for
  each hidden number, belongs to the other video alone.
- scores: s_i = mean_j w_j (p_i . q_j) = p_i . v, where v = mean_j w_j q_j. The kernel is linear in
  the hidden numbers, w = W2 h + b2, so that v = h . (W2' q / L) + b2 . q / L: again vectors that
  belong to the other video, and a sum of them for each pair.

`encode` puts these 2 hidden + 1 vectors of C channels beside each map, and attends to itself; what
is left for a pair are products with them. Training takes the losses of the plain form.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from bench.method import LabelledEpisodes, register
from methods.mastaf import EPSILON, Mastaf


class Positions(NamedTuple):
    """A map, and what belongs to it alone; there are 0 hidden numbers without a meta-learner."""

    maps: Tensor
    """(..., L, C)"""
    to_unit: Tensor
    """(..., L): factor that brings each position to length 1."""
    mean: Tensor
    """(..., C): mean_i p_i."""
    squeezed: Tensor
    """(..., hidden or 0, C): W1 q."""
    expanded: Tensor
    """(..., hidden + 1 or 0, C): W2' q / L, and b2 . q / L."""
    pooled: Tensor
    """(..., C): sum of the positions, weighted by self-attention where the branches ask for it."""


@register
class FastMastaf(Mastaf):
    """MASTAF without relation maps."""

    accelerates = "mastaf"

    def encode(self, features: Tensor) -> Positions:  # type: ignore[override]
        """(videos, C, T, H, W) -> `Positions`, videos first."""
        return self.positions(super().encode(features))

    def adapt(self, support: Positions) -> Positions:  # type: ignore[override]
        """(episodes, N, S, ...) -> `Positions` of the mean maps, (episodes, N, ...)."""
        if support.maps.shape[2] == 1:
            return Positions(*(part[:, :, 0] for part in support))
        return self.positions(support.maps.mean(dim=2))

    def score(self, prototypes: Positions, query: Positions) -> Tensor:  # type: ignore[override]
        """(episodes, N, ...) and (episodes, Q, ...) -> (episodes, Q, N)."""
        if self.training:  # Batch norm has to meet the maps in its order.
            return super().score(prototypes.maps, query.maps)
        kind, alpha = self.settings.branches, self.settings.alpha
        cosines = []
        if kind in ("both", "cross"):
            of_class = self.attend(prototypes, query) @ prototypes.maps
            of_query = self.attend(query, prototypes) @ query.maps
            directions = normalize(of_class, dim=-1).transpose(1, 2)
            cosines.append((normalize(of_query, dim=-1) * directions).sum(dim=-1))
        if kind != "cross":
            pooled = query.pooled
            if self.settings.batch_norm == "reference" and pooled.shape[1] == 1 and kind != "none":
                pooled = self.pooled_alone(query, batch_norm=False)
            products = normalize(pooled, dim=-1) @ normalize(prototypes.pooled, dim=-1).mT
            cosines.append((alpha if kind == "both" else 1.0) * products)
        return self.settings.scale * torch.stack(cosines).sum(dim=0)

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Train as the plain form does."""
        support, query = cast(Positions, episodes.support), cast(Positions, episodes.query)
        return super().loss(episodes._replace(support=support.maps, query=query.maps))

    def positions(self, maps: Tensor) -> Positions:
        """(..., L, C) -> the same, and what belongs to it alone."""
        count = maps.shape[-2]
        to_unit = 1 / torch.linalg.vector_norm(maps, dim=-1).clamp(min=EPSILON)
        squeezed = expanded = maps[..., :0, :]
        if self.learner is not None:
            first, second = self.learner.squeeze, self.learner.expand
            rows = torch.cat([second.weight.T, second.bias.unsqueeze(0)]) / count
            squeezed = (first.weight * to_unit.unsqueeze(-2)) @ maps
            expanded = (rows * to_unit.unsqueeze(-2)) @ maps
        mean = (to_unit.unsqueeze(-2) @ maps).squeeze(-2) / count
        found = Positions(maps, to_unit, mean, squeezed, expanded, maps.sum(dim=-2))
        if self.settings.branches in ("cross", "none") or self.training:
            return found
        return found._replace(pooled=self.pooled_alone(found))

    def pooled_alone(self, positions: Positions, batch_norm: bool = True) -> Tensor:
        """Attend to the own map, and pool: (..., L, C) -> (..., C)."""
        axes = positions.mean.ndim - 1
        alone = Positions(*(part.flatten(0, axes - 1).unsqueeze(1) for part in positions))
        pooled = self.attend(alone, alone, batch_norm) @ alone.maps
        return pooled.reshape(positions.mean.shape)

    def attend(self, own: Positions, other: Positions, batch_norm: bool = True) -> Tensor:
        """(episodes, A, ...) given (episodes, B, ...) -> A over the own positions, (e, A, B, L)."""
        if self.learner is None:
            relations = torch.einsum("eac,ebjc->ebaj", own.mean, other.maps)
            vectors = other.maps
            weights = relations * other.to_unit.square().unsqueeze(2) / vectors.shape[2]
        else:
            products = torch.einsum("eac,ebhc->ebah", own.mean, other.squeezed)
            hidden = products + self.learner.squeeze.bias
            if batch_norm:
                hidden = self.learner.norm(hidden.flatten(0, -2)).reshape(hidden.shape)
            vectors = other.expanded
            weights = torch.cat([relu(hidden), torch.ones_like(hidden[..., :1])], dim=-1)
        mixed = (weights @ vectors).transpose(1, 2)  # v, (e, A, B, C)
        scores = (own.maps @ mixed.mT).mT * own.to_unit.unsqueeze(2)  # s
        attention = torch.softmax(scores / self.settings.temperature, dim=-1)
        return 1 + self.settings.residual_gain * attention if self.settings.residual else attention
