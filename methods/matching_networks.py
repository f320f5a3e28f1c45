"""Matching networks: support videos vote for their class by their similarity to the query.

A nearest-neighbour classifier made differentiable: instead of the nearest support video deciding
alone, each votes for its class with a weight, the softmax over all support videos of its similarity
to the query. A class scores the sum of its votes.

What counts is how support videos differ within *this* support set. So with full-context embeddings
each is embedded in the context of all others: g(x, S) comes from a bidirectional LSTM that reads
the whole support set; f(x, S), the query's, from a second LSTM that attends to the support set once
for each support video. An LSTM reads in an order, and the order of a support set means nothing: it
is read in the order of its videos' mean features, so that no shuffling can change a score.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.content_order import Pooled, content_order, pool, reorder, undo

SHARPNESS = 100.0
"""Factor of the cosines before the softmax over support videos, as in CloserLookFewShot."""
LEAST_VOTE = 1e-6
"""Added to a fraction of the votes before its logarithm, as in both code bases."""
LEAST_LENGTH = 1e-5
"""Added to a vector's length before it is brought to unit length, as in CloserLookFewShot."""


@dataclass(frozen=True)
class MatchingNetworksSettings(Settings):
    """Settings of the plain form."""

    sharpness: float = SHARPNESS
    """Factor of the cosines; the paper's formula has 1, CloserLookFewShot 100."""


@register
class MatchingNetworks(Method):
    """Every support video votes for its class with the softmax of its cosine to the query."""

    name = "matching-networks"
    source = "Vinyals et al., NeurIPS 2016, arXiv:1606.04080, eq. 1-2, without context embeddings"
    differs = "frames and positions are averaged first; cosines times 100, as in CloserLookFewShot"
    needs = "vector"
    order_aware = False
    Settings = MatchingNetworksSettings
    settings: MatchingNetworksSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> unit mean vector (videos, C)."""
        return normalize(features.mean(dim=(2, 3, 4)), dim=-1)

    def score(self, support: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> logarithms of votes (episodes, queries, way), eq. 1."""
        # In double precision, as a hundred times a rounding error shows in the fifth digit.
        c = torch.einsum("eqc,ensc->eqns", query.double(), support.double())
        log_a = torch.log_softmax(self.settings.sharpness * c.flatten(2), dim=-1)  # eq. of a, § 2.1
        return log_a.reshape(c.shape).logsumexp(dim=-1).to(query.dtype)


@dataclass(frozen=True)
class FullContextSettings(Settings):
    """Differences between the code bases in use."""

    similarity: Literal["closerlook", "easyfsl"] = "closerlook"
    """100 relu(cosine), or the product of the query with the unit support vector."""
    reading: Literal["content", "given"] = "content"
    """Order in which the support set is read: by the mean of a video's features, so that it
    depends on no shuffling, or class by class as given, as in CloserLookFewShot."""


@register
class FullContextMatchingNetworks(Method):
    """Let support videos vote that have seen one another, for a query that has seen them."""

    name = "matching-networks-fce"
    source = """Vinyals et al., NeurIPS 2016, arXiv:1606.04080, appendix A; code
    wyharveychen/CloserLookFewShot at e03aca8 and sicara/easy-few-shot-learning at 8023ff4"""
    differs = """frames and positions are averaged first; the LSTM reads the support set in the
    order of the mean feature, so that no shuffling of classes or shots changes a score; the authors
    read it as given (reading=given); the backbone is frozen"""
    needs = "vector"
    order_aware = False
    Settings = FullContextSettings
    settings: FullContextSettings

    def __init__(self, shape: FeatureShape, settings: FullContextSettings | None = None) -> None:
        super().__init__(shape, settings)
        channels = shape.channels
        self.reader = nn.LSTM(channels, channels, batch_first=True, bidirectional=True)
        self.cell = nn.LSTMCell(2 * channels, channels)

    def encode(self, features: Tensor) -> Pooled:
        """(videos, C, T, H, W) -> mean vector (videos, C) and its mean (videos,)."""
        return pool(features)

    def adapt(self, support: Pooled) -> Tensor:
        """(episodes, way, shot, C) -> g(x, S) of each support video, of the same shape."""
        vectors = support.vectors.flatten(1, 2)
        if self.settings.reading == "given":
            return self.read(vectors).reshape(support.vectors.shape)
        order = content_order(support)
        in_context = self.read(reorder(vectors, order))
        return undo(in_context, order).reshape(support.vectors.shape)

    def read(self, g: Tensor) -> Tensor:
        """Read g' (episodes, videos, C) both ways: g(x_i, S) = h_i forth + h_i back + g'(x_i)."""
        forth, back = self.reader(g)[0].chunk(2, dim=-1)
        return forth + back + g

    def score(self, support: Tensor, query: Pooled) -> Tensor:
        """(episodes, queries, C) -> logarithm of each class's votes, (episodes, queries, way)."""
        g = support.flatten(1, 2)
        f = self.read_for_queries(g, query.vectors)
        votes = self._similarity(f, g).softmax(dim=-1)
        return torch.log(votes.unflatten(-1, support.shape[1:3]).sum(dim=-1) + LEAST_VOTE)

    def read_for_queries(self, g: Tensor, query: Tensor) -> Tensor:
        """Embed queries (episodes, queries, C) in the context of g (episodes, videos, C).

        For K = the number of support videos, f(x, S) = h_K, from h_0 = f'(x) and c_0 = 0, by

            r = sum over i of softmax_i(h . g_i) g_i
            h, c = LSTM([f'(x), r], h, c), and h = h + f'(x)
        """
        h, c = query, torch.zeros_like(query)
        for _ in range(g.shape[1]):
            r = (h @ g.mT).softmax(dim=-1) @ g
            seen = torch.cat([query, r], dim=-1).flatten(0, 1)
            state = self.cell(seen, (h.flatten(0, 1), c.flatten(0, 1)))
            h, c = (one.reshape(query.shape) for one in state)
            h = h + query
        return h

    def _similarity(self, f: Tensor, g: Tensor) -> Tensor:
        """(episodes, queries, C), (episodes, videos, C) -> (episodes, queries, videos)."""
        if self.settings.similarity == "easyfsl":
            return f @ normalize(g, dim=-1).mT
        f, g = (
            x / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) + LEAST_LENGTH) for x in (f, g)
        )
        return SHARPNESS * relu(f @ g.mT)
