"""``fvbench power``: what it takes is what a simulation takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.runs.directory import write_run
from bench.statistics import Estimate, over_episodes
from bench.statistics.power import MOST, need
from tests.command import call, refused, succeeds
from tests.synthetic import answered, trained
from tests.test_compare import OLD


def test_what_is_needed_shows_the_difference_four_times_in_five():
    generator = np.random.default_rng(0)
    values = generator.normal(0, 0.2, 500)
    found = need(over_episodes(values), 500, 0.02)
    trials = generator.normal(0.02, values.std(ddof=1), (2000, found.needed))
    seen = np.mean([over_episodes(one).interval()[0] > 0 for one in trials])
    assert seen == pytest.approx(0.8, abs=0.03)


def test_half_the_difference_takes_four_times_as_much():
    estimate = Estimate(0.0, 0.005, 9999)
    one, half = (need(estimate, 10_000, wanted).needed for wanted in (0.01, 0.005))
    assert half == pytest.approx(4 * one, rel=0.01)


def test_what_there_is_shows_its_smallest_difference():
    estimate = Estimate(0.0, 0.01, 11)
    smallest = need(estimate, 12, 0.01).smallest
    assert need(estimate, 12, smallest).needed == 12


def test_no_number_is_enough_for_nothing():
    assert need(Estimate(0.0, 0.3, 11), 12, 1e-6).needed == MOST
    with pytest.raises(ValueError, match="above 0"):
        need(Estimate(0.0, 0.3, 11), 12, 0.0)


def test_the_command_answers_all_three_questions():
    text = succeeds("power", OLD, "--difference", "0.02")
    assert "videos and classes" in text
    found = json.loads(call("power", OLD, "--json")[1])["methods"]["otam"]
    assert found["episodes"]["units"] == 300
    assert found["videos and classes"]["units"] == 12
    assert found["episodes"]["needed"] > 300


@pytest.mark.parametrize("words", [("--difference", "0"), ("--difference", "2")])
def test_a_difference_out_of_range_is_refused(words: tuple[str, str]):
    assert call("power", OLD, *words)[0] == 2


def test_it_says_that_other_trainings_are_not_counted(tmp_path: Path):
    assert "Other trainings" not in succeeds("power", OLD)
    for seed, name in enumerate(("protonet", "trx")):
        write_run(tmp_path / name, trained(answered(name, 0.6, seed), 0))
    assert "nothing is decided between two" in " ".join(succeeds("power", tmp_path).split())


def test_a_single_method_has_no_difference():
    assert "takes two methods" in refused("power", OLD / "otam")


def test_units_that_no_episode_shows_do_not_count(tmp_path: Path):
    for method, right in (("otam", 0.7), ("protonet", 0.5)):
        write_run(tmp_path / method, answered(method, right, episodes=6))
    found = json.loads(call("power", tmp_path, "--json")[1])["methods"]
    (one,) = found.values()
    assert one["videos"]["units"] <= 6 * 10  # the split has 480 recordings
