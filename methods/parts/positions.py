"""Tables that tell a frame its place in time, added to the features by several methods.

The tables are computed, not learned, for any number of frames and channels; in double precision,
then rounded to single, as authors keep them whatever they compute in.
"""

import math

import torch
from torch import Tensor

BASE = 10000.0
"""Ratio of the slowest to the fastest wave (Vaswani et al., 2017, section 3.5)."""


def usual_positions(tokens: Tensor, scale: float = 0.1) -> Tensor:
    """Tell tokens (..., T, C) their place as TRX, STRM and TEAM do: tokens + 0.1 table.

    Sinusoids as in Vaswani et al., 2017, section 3.5: even channel i holds sin(t / 10000^(i/C)),
    and channel i + 1 the cosine of the same wave.

    >>> usual_positions(torch.zeros(2, 3), scale=1.0)
    tensor([[0.0000, 1.0000, 0.0000],
            [0.8415, 0.5403, 0.0022]])
    """
    channel = torch.arange(tokens.shape[-1])
    return tokens + scale * _waves((channel - channel % 2) / len(channel), tokens)


def hyrsm_positions(tokens: Tensor, feature_scale: float, table_scale: float) -> Tensor:
    """Tell tokens (..., T, C) their place as HyRSM and MoLo do: sqrt(C / A) tokens + B table.

    In their code the exponent is 2i although i already counts the channels, not the pairs: channel
    i oscillates with t / 10000^(2i/C), a sine if i is even, a cosine if it is odd. So the waves
    slow down twice as fast as usual, and sine and cosine of a pair differ in frequency.

    >>> hyrsm_positions(torch.zeros(2, 3), 10.0, table_scale=1.0)
    tensor([[0.0000e+00, 1.0000e+00, 0.0000e+00],
            [8.4147e-01, 1.0000e+00, 4.6416e-06]])
    """
    channels = tokens.shape[-1]
    table = _waves(2 * torch.arange(channels) / channels, tokens)
    return tokens * math.sqrt(channels / feature_scale) + table_scale * table


def _waves(exponent: Tensor, tokens: Tensor) -> Tensor:
    """Sine in even channels and cosine in odd ones of t / BASE^exponent: (T, C)."""
    time = torch.arange(tokens.shape[-2], dtype=torch.float64)[:, None]
    angle = time / BASE ** exponent.to(torch.float64)
    even = torch.arange(len(exponent)) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).float().to(tokens)
