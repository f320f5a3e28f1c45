import torch

from bench.method import FeatureShape
from methods.ata import ATA, AtaSettings, support_loss
from tests.methods.cases import random_episode

SHAPE = FeatureShape(6, 4, 2, 2)


def test_refinement_needs_no_gradients_around_it():
    method = ATA(SHAPE, AtaSettings(steps=3))
    support, _ = random_episode(method)
    expected = method.adapt(support)
    with torch.inference_mode():
        found = method.adapt(support.clone())
    torch.testing.assert_close(found.frames, expected.frames)
    assert not found.frames.requires_grad


def test_refinement_lowers_its_loss():
    support, _ = random_episode(ATA(SHAPE))
    before, after = (ATA(SHAPE, AtaSettings(steps=steps)).adapt(support) for steps in (0, 50))
    assert (support_loss(after, support) < support_loss(before, support)).all()
