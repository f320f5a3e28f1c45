"""Several banks side by side, on rows whose truth is known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.comparison.across.agreement import Side, kendall, spearman
from bench.comparison.across.summary import Across, across
from bench.report.charts.transfer import transfer_chart
from bench.runs.directory import write_run
from bench.runs.run import Run
from bench.runs.schema import FeatureIdentity
from bench.statistics import Design, Units
from episodes.banks.bank import Bank, open_bank
from episodes.errors import UserError
from tests.command import call, succeeds
from tests.synthetic import answered, trained, with_identity

METHODS = 12
EQUAL = np.full(METHODS, 0.5)
APART = np.linspace(0.25, 0.75, METHODS)
WORLDS = 30


def side(skill: NDArray[np.float64], seed: int, classes: int = 12, episodes: int = 600) -> Side:
    """Methods of known skill on a bank: classes differ in how hard they are, to all and to each."""
    draw = np.random.default_rng(seed)
    easy = draw.normal(0, 0.1, (classes, 1)) + draw.normal(0, 0.05, (classes, len(skill)))
    shown = np.argsort(draw.random((episodes, classes)), axis=1)[:, :5]
    right = draw.random((episodes, 5, 1)) < (skill + easy)[shown]
    units = Units(np.sort(shown, axis=1).astype(np.int32), np.zeros(classes, np.int64), "classes")
    return Side(right.mean(axis=1), Design(units, units), f"list {seed}")


def held(one: NDArray[np.float64], other: NDArray[np.float64], truth: float) -> float:
    """In how many worlds the interval of tau holds a value."""
    found = [kendall(side(one, 2 * n), side(other, 2 * n + 1)).interval for n in range(WORLDS)]
    return float(np.mean([ends is not None and ends[0] <= truth <= ends[1] for ends in found]))


class TestCorrelation:
    def test_of_equal_methods_is_none(self):
        assert held(EQUAL, EQUAL, 0.0) >= 0.9

    def test_of_the_same_ranking_is_near_one_and_of_the_opposite_near_minus_one(self):
        found = kendall(side(APART, 0), side(APART, 1))
        assert found.value > 0.85
        assert found.interval[0] > 0.5
        assert kendall(side(APART, 0), side(APART[::-1], 1)).value < -0.85

    def test_interval_holds_a_truth_in_between(self):
        shuffled = APART[np.random.default_rng(3).permutation(METHODS)]
        truth = float(stats.kendalltau(APART, shuffled).statistic)
        assert -0.5 < truth < 0.5
        assert held(APART, shuffled, truth) >= 0.9

    def test_values_are_those_of_the_library_on_the_accuracies(self):
        one, other = side(APART, 4), side(EQUAL, 5)
        assert kendall(one, other).value == stats.kendalltau(one.means, other.means).statistic
        assert spearman(one, other).value == stats.spearmanr(one.means, other.means).statistic

    def test_banks_over_one_list_lose_a_class_together(self):
        """The same rows twice agree whichever class is left out, if it is left out of both."""
        one = side(APART, 6)
        same = kendall(one, one).interval
        taken_apart = kendall(one, Side(one.values, one.design, "another list")).interval
        assert taken_apart is not None
        assert same == (pytest.approx(1 - 2 / (METHODS * (METHODS - 1))), 1.0)
        assert taken_apart[0] < same[0]

    def test_classes_that_no_episode_shows_do_not_count(self):
        def wider(one: Side) -> Side:
            shown = one.design.classes
            units = Units(shown.members, np.zeros(len(shown) + 9, np.int64), "classes")
            return replace(one, design=Design(units, units))

        one, other = side(APART, 8), side(EQUAL, 9)
        same = replace(other, split_sha256=one.split_sha256)
        for pair in ((one, other), (one, same)):
            assert kendall(*map(wider, pair)) == kendall(*pair)

    def test_there_is_no_interval_where_classes_are_not_known_or_cannot_be_left_out(self):
        one = side(APART, 7)
        assert kendall(one, Side(one.values, None, "")).interval is None
        every = Units(np.zeros((600, 1), np.int32), np.zeros(1, np.int64), "classes")
        assert kendall(one, Side(one.values, Design(every, every), "")).interval is None


def run(bank: Bank, method: str, skill: float, order_aware: bool | None = True) -> Run:
    """A run in which each answer is right with a probability; classes are equally hard."""
    seed = sum(map(ord, method + bank.recipe.name))
    made = answered(method, skill, seed, bank=bank)
    return replace(made, declared=made.declared.changed(order_aware=order_aware))


BANKS = ("default", "egogestar-5w1s-test")
SKILLS: Mapping[str, tuple[float, float]] = {
    "good": (0.8, 0.6),
    "middling": (0.6, 0.45),
    "same": (0.6, 0.45),
    "fickle": (0.5, 0.75),
    "poor": (0.4, 0.3),
    "chance": (0.2, 0.9),
}
BLIND = {"middling", "poor"}


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Five methods and a control on a rendered and on a real bank, whose videos are not here."""
    banks = [open_bank(name, 600, without_list=True) for name in BANKS]
    return [
        run(bank, method, skills[index], method not in BLIND)
        for index, bank in enumerate(banks)
        for method, skills in SKILLS.items()
    ]


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> Across:
    return across(runs)


class TestAcross:
    def test_controls_are_no_contenders(self, found: Across):
        assert set(found.methods) == SKILLS.keys() - {"chance"}
        assert [one.methods for one in found.agreements] == [5]

    def test_a_method_that_answers_like_another_counts_once(self, runs: list[Run]):
        twins = [
            with_identity(one, method="twin") for one in runs if one.identity.method == "middling"
        ]
        found = across([*runs, *twins])
        assert found.duplicates == {"twin": "middling"}
        assert "twin" not in found.methods
        assert [one.methods for one in found.agreements] == [5]
        assert [one.order_blind for one in found.gaps] == [2, 2]
        on_one_bank = across([*runs, twins[0]])
        assert on_one_bank.duplicates == {}

    def test_what_repeats_and_what_is_contradicted(self, found: Across):
        pairs = {frozenset((one.first, one.second)): one for one in found.pairs}
        assert len(pairs) == len(found.pairs) == 10
        repeated = pairs[frozenset(("good", "poor"))]
        winner = repeated.first_better if repeated.first == "good" else repeated.second_better
        assert winner == BANKS
        turned = pairs[frozenset(("good", "fickle"))]
        assert {turned.first_better, turned.second_better} == {BANKS[:1], BANKS[1:]}
        alike = pairs[frozenset(("middling", "same"))]
        assert (alike.first_better, alike.second_better) == ((), ())

    def test_ranks_hold_the_true_ones_and_are_as_wide_as_what_is_not_told_apart(
        self, found: Across
    ):
        ranks = {
            method: [(one[bank].best_rank, one[bank].worst_rank) for bank in BANKS]
            for method, one in found.standings.items()
        }
        assert ranks["good"] == [(1, 1), (2, 2)]
        assert ranks["fickle"] == [(4, 4), (1, 1)]
        assert ranks["middling"] == ranks["same"] == [(2, 3), (3, 4)]
        assert found.methods[0] == "good"

    def test_the_gap_between_kinds_of_methods(self, found: Across):
        gaps = {one.bank: one for one in found.gaps}
        for index, bank in enumerate(BANKS):
            kinds = [
                np.mean(
                    [s[index] for m, s in SKILLS.items() if (m in BLIND) is blind and m != "chance"]
                )
                for blind in (False, True)
            ]
            interval = gaps[bank].interval
            assert interval[0] < kinds[0] - kinds[1] < interval[1]
            assert (gaps[bank].order_aware, gaps[bank].order_blind) == (3, 2)

    def test_of_many_equal_methods_none_is_better(self):
        """Without correction about 3 of 66 pairs would be, on either bank."""
        banks = [open_bank(name, 600, without_list=True) for name in BANKS]
        equal = [run(bank, f"method {n}", 0.5) for bank in banks for n in range(METHODS)]
        found = across(equal)
        assert not any(pair.first_better or pair.second_better for pair in found.pairs)
        assert {
            (one.best_rank, one.worst_rank)
            for by_bank in found.standings.values()
            for one in by_bank.values()
        } == {(1, METHODS)}
        interval = found.agreements[0].tau.interval
        assert interval[0] < 0 < interval[1]

    def test_methods_trained_once_are_not_judged_against_each_other(self, runs: list[Run]):
        chosen = [trained(one, 0) if one.identity.method != "poor" else one for one in runs]
        pairs = {frozenset((one.first, one.second)): one for one in across(chosen).pairs}
        names = {name: f"{name} (frozen, default)" for name in SKILLS} | {"poor": "poor"}
        judged = pairs[frozenset((names["good"], names["poor"]))]
        assert BANKS in {judged.first_better, judged.second_better}
        unjudged = pairs[frozenset((names["good"], names["fickle"]))]
        assert (unjudged.first_better, unjudged.second_better) == ((), ())

    def test_a_method_that_reads_names_is_not_judged_against_others(self, runs: list[Run]):
        def reading(one: Run) -> Run:
            return replace(one, declared=one.declared.changed(needs_text=True))

        named = [reading(one) if one.identity.method == "good" else one for one in runs]
        found = across(named)
        judged = {
            frozenset((one.first, one.second))
            for one in found.pairs
            if one.first_better or one.second_better
        }
        assert frozenset(("middling", "poor")) in judged
        assert not any("good" in pair for pair in judged)
        assert {(one.best_rank, one.worst_rank) for one in found.standings["good"].values()} == {
            (1, 5)
        }

    def test_two_backbones_on_one_bank_are_two_places(self, runs: list[Run]):
        both = [
            with_identity(one, features=FeatureIdentity(backbone=backbone))
            for backbone in ("motion", "other")
            for one in runs
            if one.identity.bank == "default"
        ]
        places = across(both).places
        assert [place.title for place in places] == ["default, motion", "default, other"]
        agreement = across(both).agreements[0]
        assert agreement.tau.value == pytest.approx(1)

    def test_a_method_on_other_frames_is_not_left_out_in_silence(self, runs: list[Run]):
        frames = FeatureIdentity(backbone="", sampling="linspace")
        one = next(one for one in runs if one.identity.method == "good")
        other = with_identity(one, features=frames)
        with pytest.raises(UserError, match=f"good has several rows on {one.identity.bank}, of"):
            across([*runs, other])

    def test_one_bank_is_not_several(self, runs: list[Run]):
        with pytest.raises(UserError, match="all runs are on default; name runs"):
            across([one for one in runs if one.identity.bank == "default"])
        apart = {("default", "good"), (BANKS[1], "poor")}
        with pytest.raises(UserError, match="no method was run on all of default, egogestar"):
            across([one for one in runs if (one.identity.bank, one.identity.method) in apart])


@pytest.fixture(scope="module")
def folder(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for one in runs:
        write_run(folder / one.identity.bank / one.identity.method, one)
    return folder


class TestCommand:
    def test_text_and_json_tell_the_same(self, folder: Path, found: Across):
        text = succeeds("compare", "--across", folder)
        assert "one is better on some banks, the other on others: " in text
        assert "8 partner pairs" in text
        content = json.loads(succeeds("compare", "--across", folder, "--json"))
        tau = found.agreements[0].tau.value
        assert content["agreements"][0]["tau"]["value"] == pytest.approx(tau)
        assert call("compare", "--across", folder, "--format", "markdown")[1].startswith("| bank")
        assert content["standings"]["good"]["default"]["best_rank"] == 1

    def test_the_chart_has_a_mark_for_each_method(self, folder: Path, found: Across):
        axes = transfer_chart(found).axes
        assert len(axes) == 1
        assert len(axes[0].lines) == 5
        out = folder / "transfer.svg"
        assert call("figures", folder, "--chart", "transfer", "--out", out)[0] == 0
        assert out.stat().st_size > 1000
