import torch

from bench.method import FeatureShape
from methods.cmn import Cmn

SHAPE = FeatureShape(5, 3, 2, 2)


@torch.no_grad()
def test_untrained_is_the_direction_of_the_mean():
    method = Cmn(SHAPE)
    features = torch.rand(2, *SHAPE)
    means = torch.nn.functional.normalize(features.mean(dim=(2, 3, 4)), dim=-1)
    torch.testing.assert_close(method.encode(features), 8 * means, atol=1e-5, rtol=0)
