"""The episode of a reference file in the form that `Method.adapt` and `Method.score` take."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.method import FeatureShape, Method, gather
from bench.reference import Golden


class Encoded(NamedTuple):
    """Representations of an episode's videos."""

    support: Any
    """(1, way, shot, ...), class by class, the shots in stored order"""
    query: Any
    """(1, queries, ...)"""


def feature_shape(maps: Tensor) -> FeatureShape:
    """Shape of one video of (videos, C, T, H, W)."""
    return FeatureShape(*maps.shape[1:])


def frames_as_maps(frames: Tensor) -> Tensor:
    """(videos, T, C) -> (videos, C, T, 1, 1)."""
    return frames.transpose(1, 2)[..., None, None]


def encode_episode(method: Method, golden: Golden, support: Tensor, query: Tensor) -> Encoded:
    """Encode stored videos (way * shot, C, T, H, W) and (queries, C, T, H, W) with ``method``."""
    rows = golden.class_order.reshape(1, golden.way, golden.shot)
    return Encoded(
        gather(method.encode(support), rows),
        gather(method.encode(query), torch.arange(len(query))[None]),
    )
