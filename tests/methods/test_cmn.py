import torch

from bench.method import FeatureShape
from methods.cmn import Cmn

SHAPE = FeatureShape(5, 3, 2, 2)


@torch.no_grad()
def test_descriptor_against_loops():
    torch.manual_seed(0)
    method = Cmn(SHAPE)
    method.hubs.normal_()
    method.merge.weight.normal_()
    features = torch.rand(2, *SHAPE)
    for video, ours in zip(features, method.encode(features), strict=True):
        frames = video.mean(dim=(2, 3)).T
        added = torch.zeros_like(method.hubs)
        for frame in frames:
            weights = torch.softmax(torch.stack([frame @ hub for hub in method.hubs]) / 5**0.5, 0)
            for j, hub in enumerate(method.hubs):
                added[j] += weights[j] * (frame - hub)
        units = [row / row.norm() for row in added]
        expected = method.merge.weight @ torch.cat(units) + method.merge.bias
        torch.testing.assert_close(ours, expected)


@torch.no_grad()
def test_untrained_is_the_direction_of_the_mean():
    method = Cmn(SHAPE)
    features = torch.rand(2, *SHAPE)
    means = torch.nn.functional.normalize(features.mean(dim=(2, 3, 4)), dim=-1)
    torch.testing.assert_close(method.encode(features), 8 * means, atol=1e-5, rtol=0)
