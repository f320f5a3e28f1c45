"""Matching networks with full context: support videos vote, having seen one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from bench.method import FeatureShape, Method, Settings, register
from methods._precision import in_own_precision
from methods.parts.content_order import Pooled, content_order, pool, reorder, undo

SHARPNESS = 100.0
"""Factor of the cosines before the softmax over support videos, as in CloserLookFewShot."""
LEAST_VOTE = 1e-6
"""Added to a share of votes before its logarithm, as the authors of both code bases do."""
LEAST_LENGTH = 1e-5
"""Added to a vector's length before it is brought to unit length, as in CloserLookFewShot."""


@dataclass(frozen=True)
class FullContextSettings(Settings):
    """Where the code bases in use differ."""

    similarity: Literal["closerlook", "easyfsl"] = "closerlook"
    """100 relu(cosine), or the product of the query with the unit support vector."""
    reading: Literal["content", "given"] = "content"
    """Order in which the support set is read: by the mean of a video's features, so that it
    depends on no shuffling, or class by class as given, as in CloserLookFewShot."""


@register
class FullContextMatchingNetworks(Method):
    """Votes as in the plain form, of vectors that have seen the whole support set.

    A bidirectional LSTM reads the support set; another one reads, for each query, way * shot
    times what attention picks from it.
    """

    name = "matching-networks-fce"
    revision = 1
    source = (
        "Vinyals et al., NeurIPS 2016, arXiv:1606.04080, appendix A; code"
        " wyharveychen/CloserLookFewShot at e03aca8 and sicara/easy-few-shot-learning at 8023ff4"
    )
    differs = (
        "frames and positions are averaged first; the LSTM reads the support set in the order of"
        " the mean feature, so that no shuffling of classes or shots changes a score; the authors"
        " read it as given (reading=given); the backbone is frozen"
    )
    needs = "vector"
    order_aware = False
    Settings = FullContextSettings
    settings: FullContextSettings
    authors_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, shape: FeatureShape, settings: FullContextSettings | None = None) -> None:
        """Build both LSTMs; the hidden size is the number of channels."""
        super().__init__(shape, settings)
        channels = shape.channels
        self.reader = nn.LSTM(channels, channels, batch_first=True, bidirectional=True)
        self.cell = nn.LSTMCell(2 * channels, channels)
        theirs = AUTHORS_MODULES[self.settings.similarity]
        self.authors_names = {  # type: ignore[misc]
            f"{theirs[module]}.{name}": f"{module}.{name}"
            for module in ("reader", "cell")
            for name in getattr(self, module).state_dict()
        }

    def encode(self, features: Tensor) -> Pooled:
        """(videos, C, T, H, W) -> mean vector (videos, C) and its mean (videos,)."""
        return pool(in_own_precision(self, features))

    def adapt(self, support: Pooled) -> Tensor:
        """(episodes, way, shot, C) -> vectors that have seen each other, of the same shape."""
        vectors = support.vectors.flatten(1, 2)
        if self.settings.reading == "given":
            return self.read(vectors).reshape(support.vectors.shape)
        order = content_order(support)
        in_context = self.read(reorder(vectors, order))
        return undo(in_context, order).reshape(support.vectors.shape)

    def score(self, support: Tensor, query: Pooled) -> Tensor:
        """(episodes, queries, C) -> log of the share of votes (episodes, queries, way)."""
        in_context = support.flatten(1, 2)
        vectors = self.read_for_queries(in_context, query.vectors)
        votes = torch.softmax(self._similarity(vectors, in_context), dim=-1)
        shares = votes.reshape(*votes.shape[:2], *support.shape[1:3]).sum(dim=-1)
        return torch.log(shares + LEAST_VOTE)

    def read(self, vectors: Tensor) -> Tensor:
        """Add what both directions of the LSTM say: (episodes, videos, C) -> the same shape."""
        read: Tensor = self.reader(vectors)[0]
        forth, back = read.chunk(2, dim=-1)
        return vectors + forth + back

    def read_for_queries(self, support: Tensor, query: Tensor) -> Tensor:
        """Read the support set (episodes, videos, C) for queries (episodes, queries, C)."""
        hidden, memory = query, torch.zeros_like(query)
        for _ in range(support.shape[1]):
            attention = torch.softmax(hidden @ support.mT, dim=-1)
            seen = torch.cat([query, attention @ support], dim=-1).flatten(0, 1)
            state = self.cell(seen, (hidden.flatten(0, 1), memory.flatten(0, 1)))
            hidden, memory = (tensor.reshape(query.shape) for tensor in state)
            hidden = hidden + query
        return hidden

    def _similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """(episodes, queries, C), (episodes, videos, C) -> (episodes, queries, videos)."""
        if self.settings.similarity == "easyfsl":
            return torch.matmul(query, normalize(support, dim=-1).mT)
        return SHARPNESS * relu(_nearly_unit(query) @ _nearly_unit(support).mT)


AUTHORS_MODULES = {
    "closerlook": {"reader": "G_encoder", "cell": "FCE.lstmcell"},
    "easyfsl": {
        "reader": "support_features_encoder",
        "cell": "query_features_encoding_cell",
    },
}
"""Code base -> our module -> its name there."""


def _nearly_unit(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / (lengths + LEAST_LENGTH)
