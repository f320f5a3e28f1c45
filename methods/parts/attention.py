"""Multi-head attention as HyRSM and MoLo implement it."""

import math

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def heads_for(channels: int, wanted: int) -> int:
    """Number of heads: the largest that divides both ``channels`` and ``wanted``.

    >>> heads_for(96, 8), heads_for(12, 8), heads_for(1, 8)
    (8, 4, 1)
    """
    return math.gcd(channels, wanted)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Multi-head attention of projected tokens: softmax(q . k / sqrt(C / heads)) v in each head.

    Queries (..., tokens, C), keys and values (..., others, C) -> (..., tokens, C), the heads, which
    divide C, side by side.
    """
    query, key, value = (_heads_apart(tokens, heads) for tokens in (query, key, value))
    mixed = scaled_dot_product_attention(query, key, value)
    return mixed.transpose(-2, -3).flatten(-2)


def _heads_apart(tokens: Tensor, heads: int) -> Tensor:
    """(..., tokens, C) -> (..., heads, tokens, C / heads)."""
    *lead, channels = tokens.shape
    return tokens.reshape(*lead, heads, channels // heads).transpose(-2, -3)


class SelfAttention(nn.Module):
    """Multi-head self-attention behind a layer norm, then dropout, with a residual around all."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project_in = nn.Linear(channels, 3 * channels, bias=False)
        self.project_out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., tokens, C) -> (..., tokens, C)."""
        query, key, value = self.project_in(self.norm(tokens)).chunk(3, dim=-1)
        return tokens + self.dropout(self.project_out(attend(query, key, value, self.heads)))
