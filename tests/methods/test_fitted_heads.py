import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from bench.method import FeatureShape
from methods.fitted_heads import Baseline, BaselinePlus, BaselinePlusPlus, epoch_orders
from methods.parts.content_order import Pooled, content_order

SHAPE = FeatureShape(8, 1, 1, 1)
HEADS = [Baseline, BaselinePlus, BaselinePlusPlus]


def random_support(way=3, shot=3):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(2, way, shot, 8, generator=generator)
    return Pooled(vectors, vectors.mean(dim=-1))


def build(cls, epochs=20):
    torch.manual_seed(0)
    return cls(SHAPE, cls.Settings(epochs=epochs)).eval()


class CosineLayer(nn.Module):
    def __init__(self, length, direction):
        super().__init__()
        self.length, self.direction = nn.Parameter(length), nn.Parameter(direction)

    def forward(self, inputs):
        return 2 * inputs @ (self.length * normalize(self.direction, dim=-1)).T


def torch_head(method, support, e):
    """The head of one episode as a module, at its start."""
    first, second = (tensor[e].clone() for tensor in method.start(support.vectors))
    if isinstance(method, BaselinePlusPlus):
        return CosineLayer(first, second)
    layer = nn.Linear(8, len(first))
    layer.load_state_dict({"weight": first, "bias": second.flatten()})
    return layer


@pytest.mark.parametrize("cls", HEADS)
def test_fitting_against_autograd_and_torchs_sgd(cls):
    method, support = build(cls), random_support()
    ours = method.logits(method.adapt(support), torch.eye(8).expand(2, 8, 8))
    for e in range(2):
        layer = torch_head(method, support, e)
        sgd = torch.optim.SGD(
            layer.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=1e-3
        )
        order = content_order(support)[e]
        inputs = method.support_form(support.vectors[e].flatten(0, 1)[order])
        labels = torch.arange(3).repeat_interleave(3)[order]
        for epoch in epoch_orders(9, 20, seed=0):
            for rows in epoch.split(4):
                sgd.zero_grad()
                cross_entropy(layer(inputs[rows]), labels[rows]).backward()
                sgd.step()
        torch.testing.assert_close(ours[e], layer(torch.eye(8)).detach(), atol=1e-5, rtol=0)


def test_epochs_go_through_all_videos_each_in_its_own_order():
    orders = epoch_orders(10, 5, seed=0)
    assert (orders.sort(dim=1).values == torch.arange(10)).all()
    assert len(orders.unique(dim=0)) == 5
    assert torch.equal(orders, epoch_orders(10, 5, seed=0))
    assert not torch.equal(orders, epoch_orders(10, 5, seed=1))
