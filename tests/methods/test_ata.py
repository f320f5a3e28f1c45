import pytest
import torch

from bench.method import FeatureShape
from methods.ata import ATA, AtaSettings, temporal
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 2)


@pytest.mark.parametrize("frames", [4, 8, 12])
def test_the_alignment_expected_in_time_is_that_of_eight_frames_stretched(frames):
    place = torch.arange(frames) * 8 / frames
    expected = (-(place[:, None] - place).square() / 4).softmax(dim=-1)  # variance 2
    cosines = torch.randn(3, frames, frames, generator=torch.Generator().manual_seed(0))
    attention = cosines.softmax(dim=-1)
    divergence = (attention * (attention / expected).log()).sum(dim=-1)
    torch.testing.assert_close(temporal(cosines, sigma=1.0), 2 - divergence.mean(dim=-1))


def test_refinement_needs_no_gradients_around_it():
    method = ATA(SHAPE, AtaSettings(steps=3))
    support, _ = random_episode(method)
    expected = method.adapt(support)
    with torch.inference_mode():
        found = method.adapt(support.clone())
    torch.testing.assert_close(found.frames, expected.frames)
    assert not found.frames.requires_grad
