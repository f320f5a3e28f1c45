"""Intervals against hand values, and what they are invariant to."""

import numpy as np
import pytest

from bench.statistics import episode_interval, paired_difference


def test_interval_against_hand_value():
    # mean 0.8, s = sqrt(0.08 / 3), t(0.975, 3) = 3.1824 -> 3.1824 * s / 2
    estimate = episode_interval(np.array([0.6, 0.8, 1.0, 0.8]))
    assert estimate.mean == pytest.approx(0.8)
    assert estimate.half_width == pytest.approx(0.2598, abs=1e-4)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    trials = [episode_interval(generator.binomial(5, 0.7, 300) / 5).interval for _ in range(2000)]
    covered = np.mean([low <= 0.7 <= high for low, high in trials])
    assert 0.935 <= covered <= 0.965


def test_a_higher_level_is_a_wider_interval():
    values = np.random.default_rng(1).random(50)
    assert episode_interval(values, 0.99).half_width > episode_interval(values, 0.9).half_width


def test_one_episode_has_no_interval():
    assert np.isnan(episode_interval(np.array([1.0])).half_width)


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([0.5, 1.0], 1.0), ([0.5, 1.0], 0.0)])
def test_what_has_no_interval_is_refused(values: list[float], level: float):
    with pytest.raises(ValueError, match=r"at least one|between 0 and 1"):
        episode_interval(np.array(values), level)


def test_pairing_takes_out_what_both_methods_find_hard():
    generator = np.random.default_rng(2)
    difficulty = generator.random(1000)
    one, other = difficulty + 0.01 * generator.random((2, 1000))
    paired = paired_difference(one, other)
    assert paired.half_width < 0.05 * episode_interval(one).half_width


def test_a_difference_turns_its_sign_with_the_reference():
    one, other = np.random.default_rng(3).random((2, 40))
    there, back = paired_difference(one, other), paired_difference(other, one)
    assert there.mean == pytest.approx(-back.mean)
    assert there.half_width == pytest.approx(back.half_width)


def test_pairs_need_the_same_episodes():
    with pytest.raises(ValueError, match="3 and 2"):
        paired_difference(np.zeros(3), np.zeros(2))
