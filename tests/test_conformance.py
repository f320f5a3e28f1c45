"""Every registered method keeps every rule, and every rule catches a method that breaks it."""

import json
import random
import re
import sys
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.conformance import RULES, examine
from bench.conformance.examination import Report
from bench.conformance.rule import change
from bench.conformance.trial import GRID, SHAPE, make_trial
from bench.features.backbones import backbones
from bench.method import REGISTRY, ConfiguredMethod, FeatureShape, Method, PairMethod, Settings
from bench.plugins.registry import built_in_methods
from tests.command import call, fvbench, refused, succeeds
from tests.synthetic import MeanVectors

ENTRIES = built_in_methods()


SHORTER = {
    "ata-transductive": {"steps": 10},
    "baseline-plus": {"epochs": 20},
    "baseline-plus-plus": {"epochs": 20},
}
"""Fitted in every episode for a fifth of the steps, by the code that others fit with in full."""


@cache
def report(name: str) -> Report:
    entry = ENTRIES[name]
    return examine(replace(entry, settings=replace(entry.settings, **SHORTER.get(name, {}))))


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_method_keeps_every_rule(name: str):
    assert not report(name).breaches


def test_mastaf_knows_the_order_of_time_on_vectors_only():
    figures = report("mastaf").figures
    assert figures.reversal_changes == 0 < figures.reversal_changes_on_vectors


class Learner(MeanVectors):
    """A linear map of the vectors, learned."""

    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.map = nn.Linear(shape.channels, shape.channels, bias=False)

    def encode(self, features: Tensor) -> Any:
        return self.map(super().encode(features))


class SeesAll(MeanVectors):
    """Transductive, and says so."""

    sees = "all queries"

    def score(self, state: Any, query: Any) -> Tensor:
        scores = super().score(state, query)
        return scores - scores.mean(dim=1, keepdim=True)


class SeesTime(MeanVectors):
    """Looks at the last frame alone, and says that order matters."""

    order_aware = True

    def encode(self, features: Tensor) -> Any:
        return features[:, :, -1].mean(dim=(2, 3))


class OfPairs(PairMethod):
    """Compares a query with one support video at a time."""

    name, revision, source, differs = "of-pairs", 1, "this test, 2026", "nothing"
    needs, order_aware = "vector", False

    def encode(self, features: Tensor) -> Any:
        return features.mean(dim=(2, 3, 4))

    def similarity(self, query: Any, support: Any) -> Tensor:
        return query @ support.mT


def breaches(cls: type[Method]) -> list[tuple[str, str]]:
    return [
        tuple(breach)
        for breach in examine(ConfiguredMethod(cls.name, cls, cls.Settings())).breaches
    ]


CATALOGUE: list[Any] = []
DIFFERENT_EACH_TIME = {
    *("class-order", "query-order", "one-query", "support-order", "episodes", "videos"),
    *("time-order", "names"),
}


def broken(rule: str, words: str, also: Set[str] = frozenset()):
    """Enter a class into the catalogue: it breaks the rule, and is told so in these words.

    Its fault may show in other ways, ``also``; it breaks no other rule.
    """

    def enter(cls: type[Method]) -> type[Method]:
        cls.__doc__ = cls.__doc__ or "Broken."
        CATALOGUE.append(pytest.param(rule, words, cls, also, id=f"{rule}: {words}"))
        return cls

    return enter


def with_(base: type[Method] = MeanVectors, **changed: Any) -> type[Method]:
    """The method with other functions or declarations."""
    return type("Changed", (base,), changed)


def then(hook: str, change: Callable[[Any], Any], base: type[Method] = MeanVectors) -> type[Method]:
    """The method that changes what one of its functions gives."""
    plain = getattr(base, hook)
    return with_(base, **{hook: lambda self, *given: change(plain(self, *given))})


for rule, words, cls in (
    ("scores", r"scores of shape \(3, 5, 3\)", then("score", lambda s: s[..., 1:])),
    ("scores", "an ordinary episode are not finite", then("score", lambda s: s / 0 * 0)),
    ("scores", "raises AttributeError: .*'absent'", with_(__init__=lambda _, x, y=0: x.absent)),
    ("scores", "it raises SystemExit: 7", with_(adapt=lambda _, s: sys.exit(7))),
    ("class-order", "changes", then("score", lambda s: s - 0.01 * torch.arange(s.shape[-1]))),
    ("one-query", "one query at a time", with_(score=lambda _, p, q: (q - q.mean(1, True)) @ p.mT)),
    ("one-query", 'declares sees = "all queries", but .* by 0 of', with_(sees="all queries")),
    ("support-order", "order of support videos changes", with_(adapt=lambda _, s: s[:, :, 0])),
    ("episodes", "two episodes and then", with_(adapt=lambda _, s: s.mean(2) - s.mean((0, 1, 2)))),
    (
        "episodes",
        "reversing",
        then("score", lambda s: s * torch.arange(1, 1 + len(s))[:, None, None]),
    ),
    ("pairs", "all videos at once", then("similarity", lambda s: s - s.mean(-1, True), OfPairs)),
    ("random-state", "generator of torch; use", then("score", lambda s: s + 0 * torch.rand(1))),
    ("random-state", "generator of numpy", then("adapt", lambda s: s + 0 * np.random.random())),
    ("inputs", "adapt changes its support in place", with_(adapt=lambda _, s: s.sub_(1).mean(2))),
    ("inputs", "score changes its query", with_(score=lambda _, p, q: q.sub_(1) @ p.mT)),
    ("inputs", "score changes its state", with_(score=lambda _, p, q: q @ p.sub_(1).mT)),
    ("sizes", "index k out of range", then("score", lambda s: s - s.topk(3).values[..., 2:])),
    (
        *("sizes", "for 2 classes with 10 videos each"),
        with_(adapt=lambda _, s: s.mean(2) * torch.tensor(9.0 - s.shape[2]).sqrt()),
    ),
    ("finite", "that are all zero", then("adapt", lambda s: s / s.norm(dim=-1, keepdim=True))),
    ("finite", "for features times 10,000", then("score", torch.exp)),
    ("finite", "for a single frame", with_(encode=lambda _, x: x.std(2).mean((2, 3)))),
    ("finite", "for a single position", with_(encode=lambda _, x: x.flatten(3).std(3).mean(2))),
    ("float64", "a step loses digits", then("score", lambda s: s + 1e6 - 1e6)),
    (
        *("gradients", "of map.weight is not finite if"),
        with_(Learner, score=lambda _, p, q: -(q[:, :, None] * p[:, None]).square().sum(-1).sqrt()),
    ),
    (
        *("gradients", "the loss term 'episode' is not one finite number"),
        then("loss", lambda terms: {"episode": terms["episode"].expand(2)}, Learner),
    ),
    ("gradients", "no parameter is called", with_(Learner, without_gradient={"gate": "gone"})),
    ("time-order", "False, but .* more than 0.0001", with_(SeesTime, order_aware=False)),
    ("time-order", "True, but .* less than 0.001", with_(order_aware=True)),
    ("declarations", "the name 'Bad_Name' is not made of", with_(name="Bad_Name")),
    ("declarations", "revision is 0; it is a whole number", with_(revision=0)),
    ("declarations", "it names authors, venue and year", with_(source="Smith et al.")),
    ("declarations", "differs is ''; it is stated in words", with_(differs="")),
    ("declarations", "needs is 'pixels'; it is one of maps, frames", with_(needs="pixels")),
    ("declarations", "sees is 'a query'; it is one of one query", with_(sees="a query")),
    ("declarations", "order_aware is 'no'; it is True", with_(SeesTime, order_aware="no")),
    ("declarations", "' '; it is stated", with_(Learner, without_gradient={"map.*": " "})),
):
    broken(rule, words)(cls)

broken("query-order", "another order of queries changes", {"one-query"})(
    then("score", lambda s: s * (1 + 0.01 * torch.arange(s.shape[1])[:, None]))
)
broken("videos", "encoding one video at a time changes", {"time-order"})(
    then("encode", lambda vectors: vectors - vectors.mean(dim=0))
)
broken("inputs", "its features", {"memory", "videos", "names", "float64", "time-order"})(
    with_(encode=lambda self, features: MeanVectors.encode(self, features.mul_(2)))
)
broken("sizes", "not finite for 20 classes with 1 videos each", {"finite", "time-order"})(
    with_(adapt=lambda _, support: support.mean(dim=2) / support.std(dim=2))
)


@broken("random-state", "the global generator of random")
class DrawsFromRandom(MeanVectors):
    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.number = random.gauss()


@broken(
    "memory", "the same episode is scored differently by up to .* after others", DIFFERENT_EACH_TIME
)
class RemembersScores(MeanVectors):
    last: Tensor | None = None

    def score(self, state: Any, query: Any) -> Tensor:
        scores = super().score(state, query)
        shown = scores if self.last is None else scores + self.last.mean()
        self.last = scores
        return shown


@broken("memory", "seen changes with the episodes; return from adapt what an episode teaches")
class CountsQuietly(MeanVectors):
    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.seen: list[int] = []

    def adapt(self, support: Any) -> Any:
        self.seen.append(len(support))
        return super().adapt(support)


@broken("memory", "norm.running_mean changes with the episodes")
class StaysInTraining(MeanVectors):
    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.norm = nn.BatchNorm1d(shape.channels, affine=False)

    def adapt(self, support: Any) -> Any:
        self.norm.train()(support.flatten(0, 2))
        return super().adapt(support)


@broken("memory", "noise changes with the episodes", DIFFERENT_EACH_TIME)
class DrawsOnAndOn(MeanVectors):
    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.noise = np.random.default_rng(0)

    def score(self, state: Any, query: Any) -> Tensor:
        return super().score(state, query) + self.noise.random()


@broken("state", "state.judge is a function; a state holds tensors and plain values")
class ReturnsAFunction(MeanVectors):
    def adapt(self, support: Any) -> Any:
        means = super().adapt(support)
        return {"judge": lambda query: query @ means.mT}

    def score(self, state: Any, query: Any) -> Tensor:
        return state["judge"](query)


@broken("state", r"state\.0 is a Linear; a state holds")
class ReturnsAModule(MeanVectors):
    def adapt(self, support: Any) -> Any:
        with torch.random.fork_rng():
            return nn.Linear(2, 2), super().adapt(support)

    def score(self, state: Any, query: Any) -> Tensor:
        return super().score(state[1], query)


@broken("gradients", "idle gets no gradient within 3 steps; .* reason in without_gradient")
class HasAnIdleParameter(Learner):
    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.idle = nn.Parameter(torch.ones(2))


@broken("gradients", "map.bias gets no gradient")
class BiasCancels(Learner):
    """The gradient of the bias is rounding, and not zero."""

    def __init__(self, shape: FeatureShape, settings: Settings | None = None) -> None:
        super().__init__(shape, settings)
        self.map = nn.Linear(shape.channels, shape.channels)

    def score(self, state: Any, query: Any) -> Tensor:
        return -(query[:, :, None] - state[:, None]).square().sum(dim=-1)


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(("rule", "words", "cls", "also"), CATALOGUE)
def test_a_broken_method_is_caught(rule: str, words: str, cls: type[Method], also: Set[str]):
    found = breaches(cls)
    said = [words for name, words in found if name == rule]
    assert any(re.search(words, line) for line in said), found
    assert not any("\n" in line for line in said)
    assert {name for name, _ in found} - {rule} <= also


def test_every_rule_has_a_method_that_breaks_it():
    elsewhere = {"fast-form", "names"}  # tests/test_fast_forms.py, tests/test_text.py
    assert {case.values[0] for case in CATALOGUE} | elsewhere == {rule.name for rule in RULES}


def test_a_declared_parameter_may_stay_without_gradient():
    class Declared(HasAnIdleParameter):
        """Says that one parameter is idle."""

        without_gradient: ClassVar[dict[str, str]] = {"id*": "kept for later"}

    assert not breaches(Declared)


@dataclass(frozen=True)
class HeadSettings(Settings):
    classes: int = 0


def test_a_head_over_training_classes_is_built_for_the_rule_on_gradients():
    class WithHead(Learner):
        """Has a head which its loss forgets."""

        Settings = HeadSettings
        settings: HeadSettings

        def __init__(self, shape: FeatureShape, settings: HeadSettings | None = None) -> None:
            super().__init__(shape, settings)
            if self.settings.classes:
                self.head = nn.Linear(shape.channels, self.settings.classes)

    assert {words.split()[0] for _, words in breaches(WithHead)} == {"head.weight", "head.bias"}


def test_change_against_hand_values():
    expected = torch.tensor([[[1.0, 3.0]]])
    # 0.5 of a range of 2, to which a thousandth of the largest, 3, is added.
    assert change(expected + 0.5, expected) == pytest.approx(0.5 / 2.003)
    assert change(expected, expected) == 0
    assert change(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2)) == 0
    assert change(torch.ones(1, 1, 2), torch.zeros(1, 1, 2)) == float("inf")
    assert change(torch.full((1, 1, 2), torch.nan), expected) == float("inf")


def test_the_grid_of_the_rule_on_time_is_that_of_the_default_backbone():
    assert GRID[1:] == backbones()["motion"].grid


def test_a_trial_is_the_same_each_time_and_says_nothing_by_position():
    one, other = make_trial(SHAPE), make_trial(SHAPE)
    assert torch.equal(one.features, other.features)
    assert len(torch.cat([one.support.flatten(), one.query.flatten()]).unique()) == len(
        one.features
    )
    assert one.labels.unique().tolist() == [0, 1, 2, 3]


# ---- The command.


@pytest.fixture
def plugin(tmp_path: Path, plugins_forgotten: None):
    """Write a file with methods; what it registers is forgotten after the test."""

    def write(name: str, *classes: str) -> Path:
        (tmp_path / name).write_text("\n\n".join([HEAD, *classes]))
        return tmp_path / name

    return write


HEAD = """
from bench.method import register
from tests.synthetic import MeanVectors
from tests.test_conformance import SeesTime
"""
GOOD = """
@register
class Good(MeanVectors):
    "Sound, under a name of its own."
    name = "good"
"""
BAD = """
@register
class Bad(SeesTime):
    "Sees time, and hides it."
    name = "bad"
    order_aware = False
"""


def test_one_line_for_a_sound_method_and_each_broken_rule(plugin):
    status, said = call("check-method", plugin("both.py", GOOD, BAD))
    assert status == 1
    good, bad = said.splitlines()
    assert good == f"good: ok, {len(RULES)} rules; reversing time changes 0% of predictions"
    assert re.match(r"bad breaks time-order: .* by 0\.\d+ of their range, more than 0.0001", bad)


def test_json(plugin):
    status, said = call("check-method", plugin("both.py", GOOD, BAD), "otam", "--json")
    good, bad, otam = json.loads(said)
    assert status == 1
    assert (good["method"], good["ok"], good["breaches"]) == ("good", True, [])
    assert (bad["method"], bad["ok"], bad["figures"]) == ("bad", False, None)
    assert [breach["rule"] for breach in bad["breaches"]] == ["time-order"]
    assert otam["figures"]["reversal_changes"] > 0.1
    assert set(otam["figures"]) == {"reversal_changes", "reversal_changes_on_vectors"}


CARELESS = """
import torch

@register
class Careless(MeanVectors):
    "Prints, and changes the process."
    name = "careless"

    def score(self, state, query):
        print("scoring")
        scores = super().score(state, query)
        torch.set_default_dtype(torch.float64)
        return scores
"""


def test_a_method_that_prints_or_changes_the_process_spoils_no_report_of_another(plugin):
    path = plugin("careless.py", CARELESS, GOOD)
    ended = fvbench("check-method", path, "--json")
    careless, good = json.loads(ended.stdout)
    assert (ended.returncode, good["ok"], careless["figures"]) == (1, True, None)
    assert careless["breaches"] == [
        {"rule": "surroundings", "words": "it changes torch's default type for the whole process"}
    ]


def test_what_cannot_be_checked_does_not_stop_the_rest(plugin):
    broken = plugin("broken.py", "import absent_module")
    said = refused("check-method", "protonat", broken, "nowhere.py", "protonet")
    unknown, unimportable, absent, ok = said.splitlines()
    assert unknown.startswith("error: no method is called 'protonat'; did you mean protonet")
    assert unimportable.endswith(
        "broken.py cannot be loaded: ModuleNotFoundError: No module named 'absent_module'"
    )
    assert absent == "error: plugin nowhere.py: there is no such file or folder"
    assert ok.startswith("protonet: ok")


def test_a_folder_and_a_built_in_file(plugin):
    folder = plugin("good.py", GOOD).parent
    plugin("empty.py")
    plugin("test_good.py", "raise RuntimeError('a test is no plugin')")
    said = refused("check-method", folder)
    assert "empty.py registers no method; put @register" in said
    assert "good: ok" in said
    (folder / "none").mkdir()
    status, said = call("check-method", folder / "none")
    assert (status, said.split(";")[0]) == (2, f"error: {folder / 'none'} registers no method")
    status, said = call("check-method", Path(__file__).parents[1] / "methods" / "cmn.py")
    assert (status, said.split(":")[0]) == (0, "cmn")


def test_a_plugin_is_known_by_name(plugin):
    status, said = call("check-method", "good", "--plugin", plugin("good.py", GOOD))
    assert (status, said.split(",")[0]) == (0, "good: ok")


def test_nothing_asked_for():
    assert call("check-method") == (
        2,
        "error: name a method or a file, or give --all for all methods\n",
    )


def test_all_of_them(monkeypatch: pytest.MonkeyPatch):
    for name in set(REGISTRY) - {"max", "mean"}:
        monkeypatch.delitem(REGISTRY, name)
    said = succeeds("check-method", "--all", "max")
    assert [line.split(":")[0] for line in said.splitlines()] == ["max", "mean"]
