import itertools

import pytest
import torch
from torch.nn.functional import conv3d, cosine_similarity, grid_sample, max_pool3d, relu

from bench.method import FeatureShape
from methods._offset_masks import offset_masks
from methods._pair_convolution import (
    add_constants,
    constant_parts,
    halve,
    largest_response,
    mix_constants,
)
from methods.ta2n import TA2N, TA2NSettings, Video
from tests.methods.cases import random_episode
from tests.methods.learning import untrained
from tests.methods.parity import assert_reproduced, outputs

SHAPE = FeatureShape(6, 4, 5, 4)


@pytest.mark.parametrize(("file", "output"), outputs("ta2n"))
def test_authors_numbers(file, output):
    assert_reproduced(file, output)


@torch.no_grad()
def build(shape=SHAPE, **settings):
    """Build a method away from its neutral start, where all videos are treated alike."""
    torch.manual_seed(0)
    method = TA2N(shape, TA2NSettings(**settings)).eval()
    method.retiming.line[2].weight.normal_(std=0.5)
    if method.pairing is not None:
        method.pairing.offset[2].weight.normal_(std=0.5)
    return method


@torch.no_grad()
def test_retiming_against_grid_sample():
    method = build().retiming
    maps = torch.randn(3, *SHAPE)
    time = torch.linspace(-1, 1, SHAPE.frames)
    slope, start = method.theta(maps).T[:, :, None]
    place = slope * time + start
    grid = torch.stack([place, -torch.ones_like(place)], dim=-1)[:, None]
    lines = maps.transpose(1, 2).flatten(2).mT.unsqueeze(2)
    sampled = grid_sample(lines, grid, align_corners=True).squeeze(2)
    expected = sampled.mT.reshape(3, SHAPE.frames, -1, *SHAPE[2:]).transpose(1, 2)
    torch.testing.assert_close(method(maps), expected, atol=1e-5, rtol=0)


def test_a_moved_video_is_zero_outside_itself():
    method = build().retiming
    method.theta = lambda _: torch.tensor([[1.0, 1.0]])
    video = torch.arange(1.0, 6.0).reshape(1, 1, 5, 1, 1)
    # Half the length further on: 5 frames lie 1/2 apart, so by two frames.
    assert method(video).flatten().tolist() == [3, 4, 5, 0, 0]
    method.theta = lambda _: torch.tensor([[1.0, 0.25]])
    assert method(video).flatten().tolist() == [1.5, 2.5, 3.5, 4.5, 2.5]


def slow_mask(offset, height, width):
    """Mean of the masks of 9 offsets around (x, y)."""
    masks = []
    for across, down in itertools.product((-0.2, 0, 0.2), repeat=2):
        mask = torch.empty(height, width)
        for row, column in itertools.product(range(height), range(width)):
            share = 1.0
            for place, size, move in (
                (row, height, offset[1] + down),
                (column, width, offset[0] + across),
            ):
                seen = abs(place * 2 / (size - 1) - 1 + move)
                share *= max(0, 1 - max(0, seen - 1) * (size - 1) / 2)
            mask[row, column] = share
        masks.append(mask / mask.sum())
    return torch.stack(masks).mean(dim=0)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.7, -0.2), (-0.75, 0.75), (0.31, 0.05)])
@pytest.mark.parametrize("size", [(7, 7), (3, 6), (2, 2)])
def test_masks_against_loops(offset, size):
    found = offset_masks(torch.tensor([offset]), *size)
    torch.testing.assert_close(found[0], slow_mask(offset, *size))


def test_masks_of_a_single_position():
    found = offset_masks(torch.tensor([[0.7, -0.7]]), 1, 1)
    assert found.tolist() == [[[1.0]]]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 5)])
def test_constant_frames_convolved(size):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, 3, 3, 3, generator=generator)
    frames = torch.randn(2, 1, 5, 3, generator=generator)
    shares = torch.randn(2, 1, 2, 5, 5, generator=generator)
    found = torch.zeros(2, 1, 2, 5, *size, 4)
    add_constants(found, mix_constants(shares, constant_parts(weight, frames, *size), 4))
    mixed = shares @ frames.unsqueeze(2)
    maps = mixed.mT[..., None, None].expand(2, 1, 2, 3, 5, *size)
    expected = conv3d(maps.flatten(0, 2), weight, padding=1).movedim(1, -1)
    torch.testing.assert_close(found.flatten(0, 2), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (6, 5)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_largest_response_against_a_convolution_of_all_positions(frames, size):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(frames, 4, *size, 3, generator=generator)
    weight, bias = torch.randn(2, 3, 3, 3, 3, generator=generator), torch.randn(2)
    convolved = conv3d(maps.permute(1, 4, 0, 2, 3), weight, bias, padding=1)
    pooled = max_pool3d(convolved, (1, min(2, size[0]), min(2, size[1])))
    expected = pooled.amax(dim=(3, 4)).permute(2, 0, 1)
    torch.testing.assert_close(largest_response(maps, weight, bias), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 6)])
def test_halving_against_max_pooling(size):
    maps = torch.randn(2, 3, *size, 4)
    channels_first = maps.movedim(-1, 1)
    expected = max_pool3d(channels_first, (1, min(2, size[0]), min(2, size[1])))
    assert torch.equal(halve(maps), expected.movedim(1, -1))


def attend(asking, asked):
    return (asking @ asked.T / asking.shape[1] ** 0.5).softmax(dim=1)


def spatial_mean(maps):
    """(C, T, H, W) -> (T, C)."""
    return maps.mean(dim=(2, 3)).T


def everywhere(linear, maps):
    return torch.einsum("oc,cthw->othw", linear.weight, maps)


def slow_prototype(method, shots):
    """(shot, C, T, H, W) -> (C, T, H, W)."""
    if len(shots) == 1:
        return shots[0]
    module, frames = method.shots, [spatial_mean(shot) for shot in shots]
    goal = frames[0] if method.settings.reference == "first" else sum(frames) / len(frames)
    retimed = []
    for shot, means in zip(shots, frames, strict=True):
        shares = attend(module.query(goal), module.key(means))
        values = everywhere(module.value, shot)
        retimed.append(torch.einsum("yx,cxhw->cyhw", shares, values))
    return sum(retimed) / len(retimed)


def slow_offsets(pairing, pair):
    """(2 C, T, H, W) -> (T, 2)."""
    hidden = pair.unsqueeze(0)
    for block in (pairing.first, pairing.second):
        hidden = block.norm(conv3d(hidden, block.conv.weight, block.conv.bias, padding=1))
        kernel = (1, min(2, hidden.shape[3]), min(2, hidden.shape[4]))
        hidden = relu(max_pool3d(hidden, kernel))
    return 0.75 * pairing.offset(hidden[0].amax(dim=(2, 3)).T)


def slow_pair(method, prototype, query):
    """(C, T, H, W) twice -> score."""
    pairing = method.pairing
    shown, asked = spatial_mean(prototype), spatial_mean(query)
    shares = attend(pairing.key(shown), pairing.query(asked))
    query = query + (shares @ pairing.value(asked)).T[..., None, None]
    prototype = prototype + pairing.value(shown).T[..., None, None]
    offsets = slow_offsets(pairing, torch.cat([prototype, query]))
    score = 0
    for t, offset in enumerate(offsets.tolist()):
        mask = slow_mask(offset, *prototype.shape[2:])
        mirrored = slow_mask([-place for place in offset], *prototype.shape[2:])
        first = (mask * prototype[:, t]).sum(dim=(1, 2))
        second = (mirrored * query[:, t]).sum(dim=(1, 2))
        score = score - (1 - cosine_similarity(first, second, dim=0))
    return score


def slow_frames(prototype, query):
    """Score the first stage alone."""
    pairs = zip(prototype.unbind(1), query.unbind(1), strict=True)
    return -sum(1 - cosine_similarity(p.flatten(), q.flatten(), dim=0) for p, q in pairs)


@pytest.mark.parametrize("settings", [{}, {"reference": "first"}, {"second_stage": False}])
@pytest.mark.parametrize("shot", [1, 3])
@torch.no_grad()
def test_scores_against_loops(settings, shot):
    method = build(**settings)
    support, query = random_episode(method, shot=shot)
    scores = method.score(method.adapt(support), query)
    for e, q, n in [(0, 0, 0), (0, 2, 1), (1, 1, 2)]:
        shots = support.maps[e, n].movedim(-1, 1)
        prototype, asked = slow_prototype(method, shots), query.maps[e, q].movedim(-1, 0)
        if shot > 1:
            asked = everywhere(method.shots.value, asked)
        if method.settings.second_stage:
            expected = slow_pair(method, prototype, asked)
        else:
            expected = slow_frames(prototype, asked)
        torch.testing.assert_close(scores[e, q, n], expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_only_the_authors_reference_depends_on_the_order_of_shots():
    for reference, depends in (("mean", False), ("first", True)):
        method = build(reference=reference)
        support, query = random_episode(method, shot=3)
        flipped = Video(*(part.flip(2) for part in support))
        scores = [method.score(method.adapt(s), query) for s in (support, flipped)]
        assert (torch.dist(*scores) > 1e-4) == depends


@pytest.mark.parametrize("shape", [(6, 8, 6, 6), (6, 1, 6, 6), (6, 8, 1, 1), (6, 3, 2, 5)])
@torch.no_grad()
def test_small_maps_and_short_videos(shape):
    method = build(FeatureShape(*shape))
    support, query = random_episode(method)
    scores = method.score(method.adapt(support), query)
    assert scores.shape == (2, 3, 3)
    assert scores.isfinite().all()


def without_gradient(method, shot):
    # The bias before a batch norm gets rounding errors only: the norm subtracts it again.
    return {name for name in untrained(method, shot) if not name.endswith("conv.bias")}


def test_every_parameter_gets_a_gradient_from_several_shots():
    assert not without_gradient(build(), shot=2)


def test_one_shot_leaves_the_multi_shot_maps_alone():
    multi_shot = {"shots.key.weight", "shots.query.weight", "shots.value.weight"}
    assert without_gradient(build(), shot=1) == multi_shot


def test_at_the_neutral_start_only_the_last_layers_of_both_nets_learn():
    found = without_gradient(TA2N(SHAPE), shot=2)
    assert {"retiming.line.0.weight", "pairing.first.conv.weight"} <= found
    assert not {"retiming.line.2.weight", "pairing.offset.2.weight"} & found


def test_training_takes_batch_statistics_over_all_pairs():
    method = build().train()
    support, query = random_episode(method)
    before = method.pairing.first.norm.num_batches_tracked.item()
    method.score(method.adapt(support), query)
    assert method.pairing.first.norm.num_batches_tracked.item() == before + 1
