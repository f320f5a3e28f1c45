"""Matching networks: support videos vote for their class by their similarity to the query.

A nearest-neighbour classifier made differentiable: instead of the nearest support video deciding
alone, each votes for its class with a weight, the softmax over all support videos of its cosine to
the query. A class scores the sum of its votes. Here without the full-context embeddings, which
`methods.matching_networks_fce` adds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.method import Method, Settings, register

SHARPNESS = 100.0
"""Factor of the cosines before the softmax over support videos, as in CloserLookFewShot."""


@dataclass(frozen=True)
class MatchingNetworksSettings(Settings):
    """Settings of the plain form."""

    sharpness: float = SHARPNESS
    """Factor of the cosines; the paper's formula has 1, CloserLookFewShot 100."""


@register
class MatchingNetworks(Method):
    """Every support video votes for its class with the softmax of its cosine to the query."""

    name = "matching-networks"
    revision = 1
    source = "Vinyals et al., NeurIPS 2016, arXiv:1606.04080, eq. 1-2, without context embeddings"
    differs = "frames and positions are averaged first; cosines times 100, as in CloserLookFewShot"
    needs = "vector"
    order_aware = False
    Settings = MatchingNetworksSettings
    settings: MatchingNetworksSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> unit mean vector (videos, C)."""
        return normalize(features.mean(dim=(2, 3, 4)), dim=-1)

    def adapt(self, support: Tensor) -> Tensor:
        """Keep the support videos, (episodes, way, shot, C)."""
        return support

    def score(self, support: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> logarithms of votes (episodes, queries, way), eq. 1."""
        # In double precision, as a hundred times a rounding error shows in the fifth digit.
        c = torch.einsum("eqc,ensc->eqns", query.double(), support.double())
        log_a = torch.log_softmax(self.settings.sharpness * c.flatten(2), dim=-1)  # eq. of a, § 2.1
        votes: Tensor = log_a.reshape(c.shape).logsumexp(dim=-1)
        return votes.to(query.dtype)
