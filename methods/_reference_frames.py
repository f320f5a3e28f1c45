"""Reference files whose features are one vector a frame, (videos, T, C)."""

from torch import Tensor

from bench.method import FeatureShape, Method
from bench.reference import Golden
from methods._reference_episode import Encoded, encode_episode, feature_shape, frames_as_maps


def frames_shape(golden: Golden) -> FeatureShape:
    """Shape of one stored video: C, T, 1, 1."""
    return feature_shape(frames_as_maps(golden.tensor("query")))


def encode_frames_of(golden: Golden, method: Method) -> Encoded:
    """Encode the stored videos with ``method``."""
    support, query = (frames_as_maps(golden.tensor(key)) for key in ("support", "query"))
    return encode_episode(method, golden, support, query)


def scores_of(golden: Golden, method: Method) -> Tensor:
    """Scores of the stored queries, (queries, way)."""
    support, query = encode_frames_of(golden, method)
    return method.score(method.adapt(support), query)[0]
