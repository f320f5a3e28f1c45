"""Intervals over videos and classes: by hand, and by simulation on a small scale.

The large simulation is `python -m studies.coverage`; its results are in
docs/statistics.md.
"""

import time
from itertools import combinations, product

import numpy as np
import pytest

from bench.statistics import (
    Design,
    Trainings,
    Units,
    design_of,
    holm,
    jackknife,
    letters,
    mcnemar_p_value,
    measure,
    sign_flip_p_value,
    step_down,
    variance_shares,
)
from bench.statistics.jackknife import pseudo_values
from episodes.banks.bank import open_bank
from studies.coverage.candidates import CANDIDATES
from studies.coverage.coverage import over_worlds, study_of
from studies.coverage.families import families
from studies.coverage.worlds import Features, Logits, World


def design(episodes: int) -> Design:
    bank = open_bank("default", episodes)
    return design_of(bank.split, bank.episodes)


def test_jackknife_against_hand_value():
    # Every pair of 4 classes once, worth the sum of its classes' values 0, 1, 2, 3: the mean is
    # 2 * 1.5, without class i it is 2 * (6 - i) / 3. Deviations 2/3 * (1.5, .5, -.5, -1.5).
    pairs = np.array(list(combinations(range(4), 2)), dtype=np.int32)
    values = pairs.sum(axis=1, keepdims=True).astype(float)
    covariance, degrees = jackknife(values, Units(pairs, np.zeros(4, dtype=np.int64), "classes"))
    of_units = 3 / 4 * (4 / 9) * (1.5**2 + 0.5**2) * 2
    of_episodes = values.var(ddof=1) / 6
    assert covariance[0, 0] == pytest.approx(of_units - of_episodes)
    assert degrees == 3


def test_units_are_drawn_anew_within_their_stratum():
    # Two videos of each of two classes; classes differ, their videos do not: nothing would vary.
    members = np.array([[0, 2], [0, 3], [1, 2], [1, 3]] * 10, dtype=np.int32)
    alone = np.array([[0], [1], [2], [3]] * 10, dtype=np.int32)
    values = np.array([[0.0], [0.0], [1.0], [1.0]] * 10)
    covariance, degrees = jackknife(values, Units(alone, np.array([0, 0, 1, 1]), "videos"))
    assert degrees == 2
    assert covariance[0, 0] == pytest.approx(0)
    assert jackknife(values, Units(alone, np.zeros(4, dtype=np.int64), "videos"))[0][0, 0] > 0.05
    assert jackknife(np.ones((40, 1)), Units(members, np.zeros(4, int), "videos"))[0][0, 0] == 0


def test_a_class_in_every_episode_leaves_nothing_to_tell():
    members = np.array([[0, 1], [0, 2]], dtype=np.int32)
    covariance, degrees = jackknife(np.ones((2, 1)), Units(members, np.zeros(3, int), "classes"))
    assert degrees == 0
    assert np.isnan(covariance).all()


def test_partners_are_one_unit_and_so_are_videos_of_a_recording():
    bank = open_bank("default", 50)
    found = design_of(bank.split, bank.episodes)
    assert (len(found.classes), found.classes.kind) == (12, "partner pairs")
    assert (len(found.videos), found.videos.kind) == (480, "recordings")
    assert np.bincount(found.videos.strata).tolist() == [20] * 24, "strata are the classes"
    shown = found.classes.members
    classes = bank.split.classes
    for episode in range(5):
        labels = {bank.split.videos[one].label for one in bank.episodes.support[episode, :, 0]}
        names = {min(label, bank.split.partners[label]) for label in labels}
        assert (shown[episode] >= 0).sum() == len(names) <= len(classes)


@pytest.mark.parametrize("world", [Logits(), Features()], ids=["logits", "features"])
@pytest.mark.parametrize("difference", [False, True], ids=["accuracy", "difference"])
def test_other_classes_are_covered_where_the_convention_is_far_off(world: World, difference: bool):
    study = study_of(open_bank("default", 1000), world, seed=1)
    tried = {name: CANDIDATES[name] for name in ("episodes, the convention", "chosen")}
    found = over_worlds(study, tried, 150, difference)
    assert 0.90 <= found["chosen"].covered <= 0.995
    assert found["episodes, the convention"].covered < 0.65


def test_the_seed_of_a_simulation_is_obeyed():
    bank = open_bank("default", 20)
    samples = [study_of(bank, Logits(), seed).sample(0, 0, False).values for seed in (0, 0, 1)]
    assert np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])


def test_an_error_over_classes_is_that_of_classes_and_of_paired_differences():
    # Both methods find the same classes hard: accuracies vary with them, and differences hardly.
    shown = design(500)
    hard = (shown.classes.members >= 6).sum(axis=1) / 5
    noise = np.random.default_rng(0).normal(0, 0.02, (500, 2))
    variation = measure(hard[:, None] + noise, shown)
    over_episodes, over_classes = (
        variation.estimate(kind, 0).error for kind in ("episodes", "videos and classes")
    )
    assert over_classes > 3 * over_episodes
    assert variation.estimate("videos and classes", 0, 1).error < 0.1 * over_classes


def test_trainings_add_their_variance():
    values = np.random.default_rng(0).random((400, 1))
    shown = design(400)
    variation = measure(values, shown, [Trainings([0.4, 0.5, 0.6])])
    base = variation.estimate("videos and classes", 0)
    full = variation.estimate("videos, classes and trainings", 0)
    assert full.error**2 == pytest.approx(base.error**2 + 0.01 / 3)
    parts = ((base.error**2, base.degrees), (0.01 / 3, 2))  # Welch and Satterthwaite
    expected = full.error**4 / sum(variance**2 / degrees for variance, degrees in parts)
    assert full.degrees == pytest.approx(expected)
    single = measure(values, shown, [Trainings([0.5])])
    assert single.estimate("videos, classes and trainings", 0) is None


def test_what_decides_is_the_widest_kind_that_both_support():
    values = np.random.default_rng(0).random((100, 4))
    trainings = [None, Trainings([0.5]), Trainings([0.5, 0.6]), Trainings([0.4, 0.5])]
    variation = measure(values, design(100), trainings)
    assert variation.widest(0) == "videos and classes"
    assert variation.widest(1, 0) == "videos and classes"  # of this one training
    assert variation.widest(2, 0) == variation.widest(2, 3) == "videos, classes and trainings"
    assert variation.widest(1, 2) is None
    assert measure(values, None, trainings).widest(2, 0) is None


def test_equal_methods_are_not_told_apart_by_the_luck_of_their_trainings():
    # Two equally good methods, three trainings each, of which one moves accuracy by 0.4 points.
    shown = design(500)
    generator = np.random.default_rng(0)
    told = {"videos and classes": 0, "videos, classes and trainings": 0}
    for _ in range(200):
        hard = generator.random(500)
        luck = generator.normal(0, 0.004, (2, 3))
        values = hard[:, None] + luck.mean(axis=1) + generator.normal(0, 0.02, (500, 2))
        means = values.mean(axis=0)
        trainings = [
            Trainings(list(mean + one - one.mean())) for mean, one in zip(means, luck, strict=True)
        ]
        variation = measure(values, shown, trainings)
        for kind in told:
            told[kind] += variation.estimate(kind, 0, 1).p_value < 0.05
    assert told["videos and classes"] > 30
    assert told["videos, classes and trainings"] <= 16


def test_a_prediction_covers_the_next_one_and_the_interval_of_the_mean_does_not():
    generator = np.random.default_rng(0)
    found = generator.normal(0.7, 0.01, (2000, 4))
    inside = {"mean": 0, "one more": 0}
    for *seeds, following in found:
        trainings = Trainings(seeds)
        estimates = {"mean": trainings.error, "one more": trainings.of_one_more}
        for name, one in estimates.items():
            low, high = one.interval()
            inside[name] += low <= following <= high
    assert inside["one more"] / 2000 == pytest.approx(0.95, abs=0.015)
    assert inside["mean"] / 2000 < 0.85


def test_another_data_set_adds_an_error_as_large_as_its_own():
    variation = measure(np.random.default_rng(0).random((200, 2)), design(200))
    mean = variation.estimate("videos and classes", 0, 1)
    following = variation.predict("another data set", 0, 1)
    assert following.error == pytest.approx(2**0.5 * mean.error)
    assert following.degrees == pytest.approx(11)
    assert variation.predict("another training", 0, 1) is None


def test_a_family_of_comparisons_is_called_different_as_rarely_as_one():
    # 40 comparisons over 6 units, whose correlations nobody knows well: 5% are to be expected,
    # 10% if the correlations that were found are taken as they are, and far more uncorrected.
    stepped, _ = families(6, 40, 0.5, 300)
    assert stepped < 0.075


def test_steps_down_ask_less_than_holm_and_never_less_than_nothing():
    generator = np.random.default_rng(0)
    p_values = generator.random(10) ** 3
    together = np.hstack([np.ones((10, 1)), 0.3 * np.eye(10)])
    found = step_down(p_values, together, 1000, 0.95).p_values
    assert all(p <= one + 0.01 for p, one in zip(found, holm(p_values), strict=True))
    assert all(one >= p - 1e-12 for p, one in zip(p_values, found, strict=True))
    order = np.argsort(p_values)
    assert (np.diff(np.array(found)[order]) >= 0).all()
    assert step_down([], np.zeros((0, 3)), 11, 0.95).p_values == []


def test_the_threshold_is_where_a_difference_would_have_been_told_apart():
    p_values, together = [0.2, 0.3, 0.04], np.hstack([np.ones((3, 1)), np.eye(3)])
    threshold = step_down(p_values, together, 1000, 0.95).threshold
    below, above = (
        step_down([0.2, 0.3, one], together, 1000, 0.95).p_values[2]
        for one in (0.97 * threshold, 1.03 * threshold)
    )
    assert below < 0.05 <= above


def test_a_class_that_carries_the_difference_is_named():
    units = design(400).classes
    values = (units.members == 3).any(axis=1).astype(float)
    shares = variance_shares(values, units)
    assert shares.argmax() == 3
    assert shares[3] > 0.5
    assert shares.sum() == pytest.approx(1)
    assert " and " in units.names[3]


def test_sign_flips_try_every_pattern():
    values = np.array([0.3, -0.1, 0.25, 0.4])
    signs = np.array(list(product([-1, 1], repeat=4)))
    expected = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert sign_flip_p_value(values) == pytest.approx(expected)


def test_drawn_sign_flips_obey_their_seed_and_are_near_the_truth():
    values = np.random.default_rng(0).normal(0.2, 1, 100)
    found = [sign_flip_p_value(values, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    estimate = measure(values[:, None], None).estimate("episodes", 0)
    assert found[0] == pytest.approx(estimate.p_value, abs=0.01)


def test_mcnemar_and_holm_against_hand_values():
    # 1 of 5: (1 + 5) / 32 on either side
    assert mcnemar_p_value(1, 4) == pytest.approx(12 / 32)
    assert mcnemar_p_value(0, 0) == 1.0
    assert holm([0.01, float("nan"), 0.02])[0] == pytest.approx(0.02)  # unknown ones are left out
    assert holm([0.02, 0.03, 0.021]) == pytest.approx([0.06, 0.06, 0.06])  # never to a smaller one


def test_methods_share_a_letter_unless_they_are_different():
    generator = np.random.default_rng(3)
    for _ in range(20):
        different = np.triu(generator.random((6, 6)) < 0.4, 1)
        different |= different.T
        found = [set(one) for one in letters(different)]
        for one, other in combinations(range(6), 2):
            assert bool(found[one] & found[other]) != different[one, other]
        groups = [{m for m in range(6) if name in found[m]} for name in set().union(*found)]
        assert not any(one < other for one in groups for other in groups), "a letter too many"


def test_a_million_rows_take_seconds():
    values = np.random.default_rng(0).random((200_000, 4))
    start = time.process_time()  # whatever else the machine does
    measure(values, design(200_000))
    assert time.process_time() - start < 20


def test_units_that_no_episode_shows_change_nothing():
    generator = np.random.default_rng(0)
    members = np.array([generator.permutation(8)[:3] for _ in range(200)], np.int32)
    values = generator.random((200, 2))
    found = [jackknife(values, Units(members, np.zeros(n, int), "videos")) for n in (8, 11)]
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1] == 7


def test_pseudo_values_are_contributions_to_the_mean():
    """Their mean is the mean itself if each unit is in as many episodes."""
    members = np.array([[unit, (unit + 1) % 10] for unit in range(10)] * 20, np.int32)
    values = np.random.default_rng(0).random(200)
    contributed = pseudo_values(values, Units(members, np.zeros(10, int), "videos"))
    assert contributed.mean() == pytest.approx(values.mean(), abs=1e-3)
