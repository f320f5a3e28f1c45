"""What is trained: which parts, with which losses, and what of it is kept."""

import pytest
import torch
from torch import nn

from bench.conformance.learning import for_training
from bench.features.backbones import load_backbone
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.training.learner import Learner, optimiser_of, weights_for_use
from bench.training.recipe import read_training_recipe
from bench.training.stream import EpisodeBatch
from bench.weights.recipe import TrainingRecipe

METHODS = built_in_methods()
SHAPE = FeatureShape(96, 8, 6, 6)
CLASSES = 7


def made_batch() -> EpisodeBatch:
    support = torch.arange(6).reshape(2, 3, 1)
    query = torch.arange(6, 12).reshape(2, 3)
    labels = torch.tensor([[0, 1, 2], [2, 1, 0]])
    return EpisodeBatch(support, query, labels, torch.tensor([[0, 3, 6], [5, 1, 2]]))


def recipe(**changed: object) -> TrainingRecipe:
    return read_training_recipe("default", METHODS["otam"]).changed(**changed)


def learner_of(name: str, tuned: bool, **changed: object) -> Learner:
    torch.manual_seed(0)
    entry = for_training(METHODS[name], CLASSES)
    backbone = load_backbone("motion", torch.device("cpu")).backbone if tuned else None
    method = entry.cls(SHAPE, entry.settings)
    return Learner(method, backbone, CLASSES, recipe(**changed)).train()


def maps() -> torch.Tensor:
    return torch.randn(12, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "changed", "terms"),
    [
        ("mastaf", {}, {"nearest", "global"}),
        ("mastaf-no-global", {"global_weight": 1.0}, {"nearest"}),
        ("baseline", {"episode_weight": 0.0, "global_weight": 1.0}, {"global"}),
    ],
)
def test_method_and_recipe_decide_the_losses(name: str, changed: dict[str, float], terms: set[str]):
    assert set(learner_of(name, tuned=False, **changed)(maps(), made_batch())) == terms


def test_any_method_can_carry_a_global_head():
    plain = learner_of("otam", tuned=False)(maps(), made_batch())
    carried = learner_of("otam", tuned=False, global_weight=0.5)(maps(), made_batch())
    assert set(plain) == {"episode"}
    assert set(carried) == {"episode", "global"}
    assert carried["episode"] == plain["episode"]


def test_the_global_head_classifies_training_classes():
    one = learner_of("otam", tuned=False, global_weight=0.5)
    logits = one.head(maps().mean(dim=(2, 3, 4)))
    classes = [0, 3, 6, 5, 1, 2, 0, 3, 6, 2, 1, 5]
    expected = 0.5 * torch.nn.functional.cross_entropy(logits, torch.tensor(classes))
    torch.testing.assert_close(one(maps(), made_batch())["global"], expected)


def test_a_recipe_may_sum_the_loss_over_an_episodes_queries():
    mean = learner_of("otam", tuned=False, global_weight=0.5)(maps(), made_batch())
    summed = learner_of("otam", tuned=False, global_weight=0.5, sum_over_queries=True)
    terms = summed(maps(), made_batch())
    torch.testing.assert_close(terms["episode"], 3 * mean["episode"])
    assert terms["global"] == mean["global"]


@pytest.mark.parametrize("policy", ["live", "frozen"])
def test_the_backbone_may_see_supports_and_queries_apart(policy: str):
    clips = torch.randn(12, 3, 16, 48, 48, generator=torch.Generator().manual_seed(1))
    together, apart = (
        learner_of("otam", tuned=True, batch_norm=policy, separate_passes=one)
        for one in (False, True)
    )
    expected = torch.cat([together.backbone(clips[:6]), together.backbone(clips[6:])])
    loss = learner_of("otam", tuned=False)(expected, made_batch())["episode"]
    assert apart(clips, made_batch())["episode"] == loss
    close = torch.allclose(together(clips, made_batch())["episode"], loss, atol=1e-5)
    assert close is (policy == "frozen")


def test_weight_decay_spares_by_name_and_by_kind_of_layer():
    one = learner_of("trx", tuned=True, weight_decay=0.1, learning_rate=0.2)
    recipe = one.recipe.changed(without_weight_decay=("BatchNorm*", "method.*.bias"))
    spared = set()
    for group in optimiser_of(one, recipe).param_groups:
        of_backbone = any(two is group["params"][0] for two in one.backbone.parameters())
        assert group["peak"] == (recipe.backbone_learning_rate if of_backbone else 0.2)
        assert group["weight_decay"] in (0.0, 0.1)
        spared |= {id(two) for two in group["params"] if group["weight_decay"] == 0}
    norms = [
        layer
        for layer in one.backbone.modules()
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d)
    ]
    expected = {id(two) for layer in norms for two in layer.parameters()}
    biases = {id(two) for name, two in one.method.named_parameters() if name.endswith("bias")}
    assert norms
    assert biases
    assert spared == expected | biases


def statistics(learner: Learner) -> dict[str, torch.Tensor]:
    return {
        name: one.clone()
        for name, one in learner.state_dict().items()
        if name.startswith("backbone.") and "running" in name
    }


@pytest.mark.parametrize(("policy", "moves"), [("frozen", False), ("live", True)])
def test_the_batch_norm_of_the_backbone_obeys_the_recipe(policy: str, moves: bool):
    one = learner_of("otam", tuned=True, batch_norm=policy)
    before = statistics(one)
    loss = sum(one(torch.randn(12, 3, 16, 48, 48), made_batch()).values())
    after = statistics(one)
    assert all(torch.equal(before[name], after[name]) for name in before) is not moves
    loss.backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in one.backbone.parameters()
    )


def test_what_is_kept_is_what_evaluation_needs():
    frozen = weights_for_use(learner_of("mastaf", tuned=False), METHODS["mastaf"], SHAPE)
    assert set(frozen) == set(METHODS["mastaf"].build(SHAPE, 0).state_dict())
    tuned = weights_for_use(learner_of("otam", True, global_weight=1.0), METHODS["otam"], SHAPE)
    assert {name.split(".")[0] for name in tuned} == {"backbone"}
