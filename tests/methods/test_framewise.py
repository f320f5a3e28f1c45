"""Networks for single images on videos: efficientnet-lite0 stands for all of them."""

import pytest
import torch
from torch import Tensor, nn

from bench.backbone import Backbone
from methods.backbones.efficientnet_lite import EfficientNetLite0

CLIPS = torch.rand(2, 3, 5, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return EfficientNetLite0().eval()


@torch.no_grad()
def test_every_frame_by_itself(backbone: Backbone):
    maps = backbone(CLIPS)
    for frame in range(5):
        alone = backbone(CLIPS[:, :, frame : frame + 1])
        torch.testing.assert_close(maps[:, :, frame : frame + 1], alone)


def test_live_batch_norm_sees_all_frames_at_once(backbone: Backbone):
    seen: list[int] = []

    def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(len(inputs[0]))

    norm = next(one for one in backbone.modules() if isinstance(one, nn.BatchNorm2d))
    norm.register_forward_pre_hook(note)
    backbone.train()(CLIPS)
    assert seen == [10]
    with torch.no_grad():
        backbone.eval()(CLIPS)
    assert max(seen[1:]) < 10
