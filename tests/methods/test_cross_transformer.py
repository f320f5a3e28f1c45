import pytest

from bench.method import FeatureShape
from methods.cross_transformer import CrossTransformer


@pytest.mark.parametrize(("channels", "width"), [(2048, 1024), (1, 1), (7, 3)])
def test_default_width_is_half_the_channels(channels, width):
    method = CrossTransformer(FeatureShape(channels, 1, 1, 1))
    assert method.key.weight.shape == (width, channels)
