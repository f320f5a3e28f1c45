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


def as_maps(features: Tensor) -> Tensor:
    """Stored features as (videos, C, T, H, W).

    Two axes are one vector a video, (videos, C); three are one vector a frame, (videos, T, C); four
    are the map of an image, (videos, C, H, W); five are left as they are.
    """
    if features.ndim == 3:
        return features.transpose(1, 2)[..., None, None]
    if features.ndim == 5:
        return features
    height, width = features.shape[2:] or (1, 1)
    return features.reshape(*features.shape[:2], 1, height, width)


def feature_shape(maps: Tensor) -> FeatureShape:
    """Shape of one video of (videos, C, T, H, W)."""
    return FeatureShape(*maps.shape[1:])


def stored_shape(golden: Golden) -> FeatureShape:
    """Shape of one stored video."""
    return feature_shape(as_maps(golden.tensor("query")))


def encode_episode(method: Method, golden: Golden, support: Tensor, query: Tensor) -> Encoded:
    """Encode stored videos (way * shot, C, T, H, W) and (queries, C, T, H, W) with ``method``."""
    rows = golden.class_order.reshape(1, golden.way, golden.shot)
    return Encoded(
        gather(method.encode(support), rows),
        gather(method.encode(query), torch.arange(len(query))[None]),
    )


def encode_stored(golden: Golden, method: Method) -> Encoded:
    """Encode the stored videos with ``method``."""
    support, query = (as_maps(golden.tensor(key)) for key in ("support", "query"))
    return encode_episode(method, golden, support, query)


def scores_of(golden: Golden, method: Method) -> Tensor:
    """Scores of the stored queries, (queries, way)."""
    support, query = encode_stored(golden, method)
    return method.score(method.adapt(support), query)[0]
