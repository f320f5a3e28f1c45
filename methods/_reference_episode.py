"""Moved to `methods.parity._episode`."""

from methods.parity._episode import (
    Encoded,
    as_maps,
    encode_episode,
    encode_stored,
    feature_shape,
    scores_of,
    stored_shape,
)

__all__ = [
    "Encoded",
    "as_maps",
    "encode_episode",
    "encode_stored",
    "feature_shape",
    "scores_of",
    "stored_shape",
]
