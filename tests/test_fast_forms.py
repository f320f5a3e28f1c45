"""Quicker forms of methods: which form is built, what says so, and the rule that holds them."""

import json
import re
from pathlib import Path

import pytest
from torch import Tensor

from bench.conformance.fast_form import fast_form
from bench.conformance.rule import MethodUnderTest
from bench.method import REGISTRY, ConfiguredMethod, FeatureShape, Method, register
from bench.plugins.registry import source_sha256
from episodes.errors import UserError
from methods.protonet import ProtoNet, Tsn
from tests.command import refused, succeeds

SHAPE = FeatureShape(12, 4, 2, 2)


class OtherOrder(ProtoNet):
    """The same sums in another order."""

    accelerates = "protonet"

    def encode(self, features: Tensor) -> Tensor:
        return features.mean(dim=(3, 4)).mean(dim=2)


@pytest.fixture
def registered(plugins_forgotten: None) -> dict[str, ConfiguredMethod]:
    """Register `OtherOrder` for one test."""
    register(OtherOrder)
    return dict(REGISTRY)


def test_it_stands_for_the_method_and_its_variants(registered):
    assert OtherOrder not in {entry.cls for entry in registered.values()}
    for name in ("protonet", "protonet-cosine"):
        entry = registered[name]
        assert (entry.cls, entry.form) == (ProtoNet, "fast")
        assert type(entry.build(SHAPE, 0)) is OtherOrder
        assert type(entry.plain.build(SHAPE, 0)) is ProtoNet
        assert entry.plain.form == "plain"
    assert registered["otam"].fast is not OtherOrder


def test_its_code_is_part_of_the_hash(registered):
    entry = registered["protonet"]
    assert source_sha256(entry) != source_sha256(entry.plain)


@pytest.mark.parametrize(
    ("base", "accelerates", "words"),
    [
        (ProtoNet, "proto", "'proto', which is not registered"),
        (Tsn, "protonet", "'protonet', which is methods.protonet.ProtoNet"),
    ],
)
def test_it_derives_from_a_registered_method(base: type[Method], accelerates: str, words: str):
    cls = type("Stray", (base,), {"accelerates": accelerates})
    with pytest.raises(UserError, match=f"{words}; a faster form derives from the class"):
        register(cls)


class Doubled(OtherOrder):
    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        return super().score(prototypes, query) * 1.001


class Detached(OtherOrder):
    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        return super().score(prototypes.detach(), query)


class OtherTerms(OtherOrder):
    def loss(self, episodes):
        return {"another": super().loss(episodes)["episode"]}


class Five(OtherOrder):
    """Right for one shot only."""

    def adapt(self, support: Tensor) -> Tensor:
        return support[:, :, 0]


def breaches(fast: type[Method]) -> list[str]:
    entry = ConfiguredMethod("protonet", ProtoNet, ProtoNet.Settings(), fast)
    return fast_form.breaches(MethodUnderTest(entry))


def test_the_rule_holds_for_the_same_in_another_order():
    assert breaches(OtherOrder) == []


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Doubled, "scores in float64, 1 shots of .* differ by 0.001, more than 1e-05"),
        (Detached, "gradients of features in float64"),
        (OtherTerms, "the terms of the loss"),
        (Five, "scores in float32, 5 shots"),
    ],
)
def test_the_rule_finds_out_what_differs(cls: type[Method], words: str):
    found = breaches(cls)
    assert any(re.search(words, line) for line in found), found


@pytest.mark.parametrize(("words", "form"), [((), "fast"), (("--plain",), "plain")])
def test_the_identity_of_a_run_says_which_form_it_was(tmp_path: Path, words, form, registered):
    options = ("--methods", "protonet", "--episodes", "2", "--no-report", "--out", str(tmp_path))
    succeeds("run", *options, *words)
    path = tmp_path / "protonet" / "run.json"
    assert json.loads(path.read_text())["identity"]["form"] == form
    before = path.read_bytes()
    other = () if words else ("--plain",)
    assert f"holds a run with form {form}, not" in refused("run", *options, *other)
    assert path.read_bytes() == before
