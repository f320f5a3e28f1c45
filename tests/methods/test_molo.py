import pytest
import torch

from bench.method import FeatureShape
from methods.molo import MoLo, MoLoSettings
from tests.methods.cases import labelled_episodes, random_episode

SHAPE = FeatureShape(16, 4, 2, 3)


def build(shape=SHAPE, **settings):
    torch.manual_seed(0)
    return MoLo(shape, MoLoSettings(width=24, **settings)).eval()


@pytest.mark.parametrize(
    ("shape", "settings"),
    [(FeatureShape(16, 4, 1, 1), {}), (FeatureShape(16, 1, 2, 3), {}), (SHAPE, {"motion": False})],
)
@torch.no_grad()
def test_frame_branch_alone(shape, settings):
    method = build(shape, **settings)
    support, query = random_episode(method)
    state = method.adapt(support)
    assert support.motion.shape[-2] == 0
    (branch,) = method.compare(state, query)
    torch.testing.assert_close(method.score(state, query), branch.match)


@torch.no_grad()
def test_frame_branch_alone_is_the_frame_part_of_both():
    both, alone = build(), build(motion=False)
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if "motion" not in k})
    support, query = random_episode(both)
    parts = both.compare(both.adapt(support), query)
    support, query = random_episode(alone)
    torch.testing.assert_close(alone.score(alone.adapt(support), query), parts[0].match)


def test_the_head_s_loss_is_left_out_without_training_classes():
    assert set(build().loss(labelled_episodes(build()))) == {"episode", "contrastive"}
