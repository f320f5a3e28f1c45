"""Backbones and what they are shown."""

import pytest
import torch

from bench.backbone import InputSpec, normalised
from bench.features.backbones import backbones, load_backbone
from bench.pretrained import Pretrained
from episodes.errors import UserError
from methods.backbones.motion import MotionNet, with_differences

CPU = torch.device("cpu")


SHIPPED = sorted(name for name, cls in backbones().items() if not issubclass(cls, Pretrained))


@pytest.mark.parametrize("name", SHIPPED)
def test_maps_have_the_shape_that_is_declared(name: str):
    loaded = load_backbone(name, CPU)
    spec = loaded.backbone.input
    clips = torch.rand(2, 3, spec.frames, spec.size, spec.size)
    with torch.no_grad():
        maps = loaded.backbone(clips)
    assert maps.shape == (2, loaded.backbone.channels, *loaded.backbone.grid)
    assert not loaded.backbone.training


def test_a_clip_is_embedded_alike_alone_and_in_company():
    backbone = load_backbone("motion", CPU).backbone
    clips = torch.rand(5, 3, 16, 48, 48)
    with torch.no_grad():
        together, alone = backbone(clips)[3:4], backbone(clips[3:4])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_happens_in_a_corner_shows_in_that_corner_of_the_map(corner: tuple[int, int]):
    backbone = load_backbone("motion", CPU).backbone
    row, column = (40 * part for part in corner)
    clip = torch.zeros(1, 3, 16, 48, 48)
    clip[:, :, ::2, row : row + 8, column : column + 8] = 0.5
    with torch.no_grad():
        change = (backbone(clip) - backbone(torch.zeros_like(clip))).abs().sum(dim=(0, 1, 2))
    near, far = (5 * corner[0], 5 * corner[1]), (5 - 5 * corner[0], 5 - 5 * corner[1])
    assert change[near] > 0
    assert change[far] == 0


def test_early_frames_show_in_early_cells():
    backbone = load_backbone("motion", CPU).backbone
    clip = torch.zeros(1, 3, 16, 48, 48)
    clip[:, :, 1] = 0.5
    with torch.no_grad():
        change = (backbone(clip) - backbone(torch.zeros_like(clip))).abs().sum(dim=(0, 1, 3, 4))
    assert change.argmax() <= 2
    assert change[-1] == 0


def test_differences_are_to_the_next_and_from_the_last_frame():
    clip = torch.zeros(1, 3, 3, 1, 1)
    clip[:, :, 1] = 1.0
    after, before = with_differences(clip)[0, 3:, :, 0, 0]
    assert after.tolist() == [4.0, -4.0, 0.0]
    assert before.tolist() == [0.0, 4.0, -4.0]


@pytest.mark.parametrize(
    ("height", "width"), [(96, 96), (100, 130), (130, 101), (40, 60), (48, 48)]
)
def test_frames_of_any_size_are_resized_and_cut(height: int, width: int):
    spec = InputSpec(2, 48, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    frames = torch.full((1, 2, height, width, 3), 255, dtype=torch.uint8)
    clip = normalised(frames, spec)
    assert clip.shape == (1, 3, 2, 48, 48)
    torch.testing.assert_close(clip, torch.full_like(clip, 2.0))


def test_the_centre_is_cut_out_and_the_aspect_kept():
    frames = torch.zeros((1, 1, 96, 192, 3), dtype=torch.uint8)
    frames[:, :, :, 48:144] = 255
    clip = normalised(frames, InputSpec(1, 48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    assert clip[..., 1:-1].min() > 0.9


def test_an_unknown_backbone_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean motion"):
        load_backbone("moton", CPU)


def test_parameters_are_as_many_as_the_docstring_says():
    assert sum(one.numel() for one in MotionNet().parameters()) == 551_304
