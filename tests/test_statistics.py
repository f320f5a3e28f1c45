"""Intervals against hand values, and what they are invariant to."""

import numpy as np
import pytest

from bench.statistics import Design, Estimate, Units, measure, over_episodes
from bench.statistics.significance import sign_flip_p_value


def test_interval_against_hand_value():
    # mean 0.8, s = sqrt(0.08 / 3), t(0.975, 3) = 3.1824 -> 3.1824 * s / 2
    estimate = over_episodes(np.array([0.6, 0.8, 1.0, 0.8]))
    assert estimate.mean == pytest.approx(0.8)
    assert estimate.half_width() == pytest.approx(0.2598, abs=1e-4)


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([0.5, 1.0], 1.0), ([0.5, 1.0], 0.0)])
def test_what_has_no_interval_is_refused(values: list[float], level: float):
    with pytest.raises(ValueError, match=r"at least one|between 0 and 1"):
        over_episodes(np.array(values)).half_width(level)


def test_the_p_value_and_the_interval_agree():
    for mean in (0.0, 0.1, 0.2, 0.3):
        estimate = Estimate(mean, 0.1, 7)
        low, high = estimate.interval(0.9)
        assert (estimate.p_value < 0.1) == (low > 0 or high < 0)
        assert estimate.probability_positive == pytest.approx(1 - estimate.p_value / 2)


def test_methods_that_never_differ_are_level():
    never = over_episodes(np.zeros(10))
    assert (never.p_value, never.probability_positive) == (1.0, 0.5)
    always = over_episodes(np.full(10, 0.2))
    assert (always.p_value, always.probability_positive) == (0.0, 1.0)


def test_an_interval_of_a_fraction_stays_within_its_bounds():
    low, high = Estimate(0.97, 0.03, 11).interval_of_fraction()
    assert 0 < low < 0.9
    assert 0.97 < high < 1


def test_no_failure_among_a_few_units_does_not_prove_that_there_is_none():
    # All 12 units right: 0.05 ** (1 / 12) of all units at least, with 95% confidence.
    assert Estimate(1.0, 0.0, 11).interval_of_fraction() == (pytest.approx(0.05 ** (1 / 12)), 1.0)
    assert Estimate(0.0, 0.0, 99).interval_of_fraction() == (0.0, pytest.approx(0.0295, abs=1e-4))


def test_near_the_ceiling_a_class_that_was_not_drawn_is_reckoned_with():
    # Nine of ten classes at 96%, one at 95%: the next might be at 70%.
    near = Estimate(0.959, 0.001, 9)
    low, high = near.interval_over_classes()
    assert low == pytest.approx(near.with_one_more(0.7).interval_of_fraction()[0])
    assert low < 0.9 < near.interval_of_fraction()[0]
    assert high == near.interval_of_fraction()[1]
    middling = Estimate(0.8, 0.02, 9)
    assert middling.interval_over_classes() == middling.interval_of_fraction()


def test_one_unit_more_is_as_if_it_had_been_drawn():
    values = np.array([0.9, 0.8, 0.7, 0.95])
    expected = over_episodes(np.append(values, 0.2))
    found = over_episodes(values).with_one_more(0.2)
    assert (found.mean, found.error, found.degrees) == pytest.approx(
        (expected.mean, expected.error, expected.degrees)
    )


def test_a_prediction_holds_the_mean_of_another_sample():
    samples = np.random.default_rng(0).normal(size=(1000, 2, 20))
    units = Units(np.arange(20, dtype=np.int32)[:, None], np.zeros(20, np.int64), "classes")
    held = 0
    for one, other in samples:
        variation = measure(one[:, None], Design(units, units))
        low, high = variation.predict("another data set", 0).interval()
        held += low <= other.mean() <= high
    assert held / len(samples) == pytest.approx(0.95, abs=0.02)


def test_random_sign_flips_never_give_a_p_value_of_zero():
    """The observed signs are one of the patterns: with 40 equal differences, the only extreme."""
    assert 0 < sign_flip_p_value(np.ones(40)) < 0.001
