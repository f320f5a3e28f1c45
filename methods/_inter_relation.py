"""HyRSM's attention among the videos of an episode, anew for each query, one token a video."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

INTER_DROPOUT, WEIGHT_DROPOUT = 0.05, 0.1
"""Authors' dropout on what is read, and on the weights of the attention."""


class Tokens(NamedTuple):
    """Videos as tokens, with all that attention takes from a token alone."""

    token: Tensor
    """(..., C)"""
    query: Tensor
    """(..., C)"""
    key: Tensor
    """(..., C)"""
    reads: Tensor
    """(..., heads, C): what each head adds to a token that looks at this one only.

    The output's linear map of the heads side by side is the sum of its pieces, one for each head.
    """


class InterRelation(nn.Module):
    """Multi-head attention among videos, with residual and the normalisation last, then ReLU."""

    def __init__(self, channels: int, heads: int) -> None:
        """Build it with the authors' initial weights."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(INTER_DROPOUT)
        self.weight_dropout = nn.Dropout(WEIGHT_DROPOUT)
        for projection in (self.query, self.key, self.value):
            nn.init.normal_(projection.weight, std=(2 / (channels + channels // heads)) ** 0.5)
        nn.init.xavier_normal_(self.out.weight)

    def project(self, token: Tensor) -> Tokens:
        """(videos, C) -> what depends on one video alone."""
        values = self._heads_apart(self.value(token)).transpose(0, 1)
        pieces = self._heads_apart(self.out.weight).permute(1, 2, 0)
        return Tokens(token, self.query(token), self.key(token), (values @ pieces).transpose(0, 1))

    def forward(self, support: Tokens, query: Tokens) -> Tensor:
        """Relate each query with the support videos, by itself.

        Args:
            support: each (episodes, supports, ...).
            query: each (episodes, queries, ...).

        Returns:
            (episodes, queries, supports + 1, C); the query comes last.
        """
        weights = self.weight_dropout(self._weights(support, query).softmax(dim=-1))
        of_support, of_query = weights[..., :-1], weights[..., -1]
        # Support videos and heads are summed over at once: (queries * tokens, supports * heads).
        flat = of_support.permute(0, 2, 3, 4, 1).flatten(3).flatten(1, 2)
        read = torch.baddbmm(self.out.bias, flat, support.reads.flatten(1, 2))
        by_query = of_query.permute(0, 2, 3, 1).flatten(0, 1), query.reads.flatten(0, 1)
        read = torch.baddbmm(read.unflatten(1, weights.shape[2:4]).flatten(0, 1), *by_query)
        read = self.dropout(read.unflatten(0, weights.shape[0:3:2]))
        # Into what was just made: a token has C numbers, and (episodes, queries, tokens) are many.
        read[:, :, :-1] += support.token.unsqueeze(1)
        read[:, :, -1] += query.token
        return relu(self.norm(read), inplace=True)

    def _weights(self, support: Tokens, query: Tokens) -> Tensor:
        """Logits of tokens looking at tokens: (episodes, heads, queries, supports + 1, same)."""
        s_query, s_key = (self._per_head(part) for part in (support.query, support.key))
        q_query, q_key = (self._per_head(part) for part in (query.query, query.key))
        among = (s_query @ s_key.mT).unsqueeze(2)
        among = among.expand(-1, -1, q_key.shape[2], -1, -1)
        at_query = (q_key @ s_query.mT).unsqueeze(-1)
        by_query = torch.cat([q_query @ s_key.mT, (q_query * q_key).sum(-1, keepdim=True)], dim=-1)
        logits = torch.cat([torch.cat([among, at_query], dim=-1), by_query.unsqueeze(3)], dim=3)
        scaled: Tensor = logits / math.sqrt(s_key.shape[-1])
        return scaled

    def _heads_apart(self, rows: Tensor) -> Tensor:
        """(rows, C) -> (rows, heads, C / heads)."""
        apart: Tensor = rows.unflatten(-1, (self.heads, -1))
        return apart

    def _per_head(self, tokens: Tensor) -> Tensor:
        """(episodes, tokens, C) -> (episodes, heads, tokens, C / heads)."""
        return self._heads_apart(tokens).transpose(1, 2)
