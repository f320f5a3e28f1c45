import torch

from methods.fitted_heads import epoch_orders


def test_epochs_go_through_all_videos_each_in_its_own_order():
    orders = epoch_orders(10, 5, seed=0)
    assert (orders.sort(dim=1).values == torch.arange(10)).all()
    assert len(orders.unique(dim=0)) == 5
    assert torch.equal(orders, epoch_orders(10, 5, seed=0))
    assert not torch.equal(orders, epoch_orders(10, 5, seed=1))
