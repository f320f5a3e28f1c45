import pytest
import torch
from torch.nn.functional import grid_sample

from bench.method import REGISTRY, FeatureShape
from methods.fast.ta2n import FastTA2N
from methods.ta2n import TA2N, TA2NSettings, offset_masks
from tests.methods.cases import labelled_episodes, random_episode

SHAPE = FeatureShape(6, 4, 5, 4)


@torch.no_grad()
def build(shape=SHAPE, form=TA2N, **settings):
    """Build a method away from its neutral start, where all videos are treated alike."""
    torch.manual_seed(0)
    method = form(shape, TA2NSettings(**settings)).eval()
    method.retiming.line[2].weight.normal_(std=0.5)
    if method.pairing is not None:
        method.pairing.offset[2].weight.normal_(std=0.5)
    return method


def along(maps, slope, start):
    """Resample (videos, C, T, H, W) along the lines slope t + start, (videos, 1) each."""
    time = torch.linspace(-1, 1, maps.shape[2], dtype=maps.dtype)
    place = slope * time + start
    grid = torch.stack([place, -torch.ones_like(place)], dim=-1)[:, None]
    lines = maps.transpose(1, 2).flatten(2).mT.unsqueeze(2)
    sampled = grid_sample(lines, grid, align_corners=True).squeeze(2)
    return sampled.mT.reshape(len(maps), maps.shape[2], -1, *maps.shape[3:]).transpose(1, 2)


@pytest.mark.parametrize("frames", [4, 5, 8])
def test_the_slope_of_retiming_at_the_start_is_that_of_grid_sample(frames):
    """The middle one of an odd number of frames is asked for exactly where it is."""
    method = TA2N(SHAPE._replace(frames=frames)).double().retiming
    maps = torch.randn(2, 6, frames, 5, 4, dtype=torch.float64)
    start = torch.tensor([[0.96, 0.0]], dtype=torch.float64).expand(2, 2)
    weights = torch.randn(maps.shape, dtype=torch.float64)
    found, expected = start.clone().requires_grad_(), start.clone().requires_grad_()
    method.theta = lambda _: found
    (weights * method(maps)).sum().backward()
    (weights * along(maps, *expected.T[:, :, None])).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_masks_of_a_single_position():
    found = offset_masks(torch.tensor([[0.7, -0.7]]), 1, 1)
    assert found.tolist() == [[[1.0]]]


def slow_prototype(method, shots):
    """(shot, C, T, H, W) -> (C, T, H, W)."""
    module, frames = method.shots, [shot.mean(dim=(2, 3)).T for shot in shots]
    goal = frames[0] if method.settings.reference == "first" else sum(frames) / len(frames)
    retimed = []
    for shot, means in zip(shots, frames, strict=True):
        products = module.query(goal) @ module.key(means).T / means.shape[1] ** 0.5
        values = torch.einsum("oc,cthw->othw", module.value.weight, shot)
        retimed.append(torch.einsum("yx,cxhw->cyhw", products.softmax(dim=1), values))
    return sum(retimed) / len(retimed)


@pytest.mark.parametrize("reference", ["mean", "first"])
@torch.no_grad()
def test_shots_are_aligned_with_the_reference_that_is_chosen(reference):
    method = build(reference=reference)
    support, _ = random_episode(method, shot=3)
    found, _ = method.adapt(support)
    torch.testing.assert_close(found[1, 2], slow_prototype(method, support[1, 2]))


def test_the_first_stage_alone_aligns_no_pairs():
    assert REGISTRY["ta2n-first-stage"].build(SHAPE, seed=0).pairing is None


def without_gradient(method, shot):
    """Names of the parameters that get no gradient, or only zeros, from the loss in training."""
    sum(method.train().loss(labelled_episodes(method, shot)).values()).backward()
    named = method.named_parameters()
    none = {name for name, p in named if p.grad is None or not p.grad.any()}
    # The bias before a batch norm gets rounding errors only: the norm subtracts it again.
    return {name for name in none if not name.endswith("conv.bias")}


def test_one_shot_leaves_the_multi_shot_maps_alone():
    multi_shot = {"shots.key.weight", "shots.query.weight", "shots.value.weight"}
    assert without_gradient(build(), shot=1) == multi_shot


def test_at_the_neutral_start_only_the_last_layers_of_both_nets_learn():
    found = without_gradient(TA2N(SHAPE), shot=2)
    assert {"retiming.line.0.weight", "pairing.first.conv.weight"} <= found
    assert not {"retiming.line.2.weight", "pairing.offset.2.weight"} & found


@pytest.mark.parametrize("form", [TA2N, FastTA2N])
def test_training_takes_batch_statistics_over_all_pairs(form):
    method = build(form=form).train()
    support, query = random_episode(method)
    before = method.pairing.first.norm.num_batches_tracked.item()
    method.score(method.adapt(support), query)
    assert method.pairing.first.norm.num_batches_tracked.item() == before + 1
