import pytest
import torch

from bench.method import FeatureShape
from methods.fitted_heads import Baseline, BaselinePlus, BaselinePlusPlus, epoch_orders
from methods.parts.content_order import Pooled


def test_epochs_go_through_all_videos_each_in_its_own_order():
    orders = epoch_orders(10, 5, seed=0)
    assert (orders.sort(dim=1).values == torch.arange(10)).all()
    assert len(orders.unique(dim=0)) == 5
    assert torch.equal(orders, epoch_orders(10, 5, seed=0))
    assert not torch.equal(orders, epoch_orders(10, 5, seed=1))


@pytest.mark.parametrize("cls", [Baseline, BaselinePlus, BaselinePlusPlus])
def test_a_head_is_fitted_to_the_classes_of_its_support(cls):
    torch.manual_seed(0)
    method = cls(FeatureShape(8, 1, 1, 1), cls.Settings(epochs=100)).eval()
    vectors = torch.eye(8)[:3, None] + 0.3 * torch.rand(2, 3, 4, 8)  # episodes, classes, shots
    logits = method.logits(method.adapt(Pooled(vectors, vectors.mean(-1))), vectors.flatten(1, 2))
    assert (logits.argmax(-1) == torch.arange(3).repeat_interleave(4)).all()
