import torch
from torch import nn

from methods.backbones._framewise import framewise


@torch.no_grad()
def test_every_frame_by_itself():
    clips = torch.randn(3, 3, 5, 4, 4)
    network = nn.Conv2d(3, 2, 3)
    maps = framewise(network, clips)
    assert maps.shape == (3, 2, 5, 2, 2)
    for video in range(3):
        for frame in range(5):
            expected = network(clips[video, :, frame][None])[0]
            torch.testing.assert_close(maps[video, :, frame], expected)


def test_live_batch_norm_sees_all_frames_at_once():
    seen = []
    network = nn.BatchNorm2d(3)
    network.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    framewise(network, torch.randn(3, 3, 5, 4, 4))
    assert seen == [15]
    with torch.no_grad():
        framewise(network.eval(), torch.randn(3, 3, 5, 4, 4))
    assert max(seen[1:]) < 15
