"""Reference files of image classifiers, (videos, C) or (videos, C, H, W): videos of one frame."""

from torch import Tensor

from bench.method import FeatureShape, Method
from bench.reference import Golden
from methods._reference_episode import Encoded, encode_episode, feature_shape


def images_as_maps(features: Tensor) -> Tensor:
    """(videos, C) or (videos, C, H, W) -> (videos, C, 1, H or 1, W or 1)."""
    height, width = features.shape[2:] or (1, 1)
    return features.reshape(*features.shape[:2], 1, height, width)


def images_shape(golden: Golden) -> FeatureShape:
    """Shape of one stored image: C, 1, H, W."""
    return feature_shape(images_as_maps(golden.tensor("query")))


def encode_images_of(golden: Golden, method: Method) -> Encoded:
    """Encode the stored images with ``method``."""
    support, query = (images_as_maps(golden.tensor(key)) for key in ("support", "query"))
    return encode_episode(method, golden, support, query)


def scores_of(golden: Golden, method: Method) -> Tensor:
    """Scores of the stored queries, (queries, way)."""
    support, query = encode_images_of(golden, method)
    return method.score(method.adapt(support), query)[0]
