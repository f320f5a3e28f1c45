"""Intervals over videos and classes: by hand, and by simulation on a small scale.

The large simulation is `python -m bench.statistics.simulation`; its results are in
docs/statistics.md.
"""

import time
from itertools import combinations, product

import numpy as np
import pytest

from bench.statistics import (
    Trainings,
    Units,
    design_of,
    holm,
    jackknife,
    letters,
    mcnemar_p_value,
    measure,
    sign_flip_p_value,
)
from bench.statistics.simulation.candidates import CANDIDATES
from bench.statistics.simulation.coverage import over_worlds, study_of
from bench.statistics.simulation.worlds import Features, Logits, World
from episodes.bank import open_bank


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


def test_a_class_in_every_episode_leaves_nothing_to_tell():
    members = np.array([[0, 1], [0, 2]], dtype=np.int32)
    covariance, degrees = jackknife(np.ones((2, 1)), Units(members, np.zeros(3, int), "classes"))
    assert degrees == 0
    assert np.isnan(covariance).all()


def test_partners_are_one_unit_and_so_are_videos_of_a_recording():
    bank = open_bank("default", 50)
    design = design_of(bank.split, bank.episodes)
    assert (len(design.classes), design.classes.kind) == (12, "partner pairs")
    assert (len(design.videos), design.videos.kind) == (480, "recordings")
    shown = design.classes.members
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


def test_trainings_add_their_variance():
    values = np.random.default_rng(0).random((400, 1))
    bank = open_bank("default", 400)
    design = design_of(bank.split, bank.episodes)
    means = [0.4, 0.5, 0.6]
    variation = measure(values, design, [Trainings(means)])
    base = variation.estimate("videos and classes", 0)
    full = variation.estimate("videos, classes and trainings", 0)
    assert full.error**2 == pytest.approx(base.error**2 + 0.01 / 3)
    assert 2 < full.degrees < 13
    single = measure(values, design, [Trainings([0.5])])
    assert single.estimate("videos, classes and trainings", 0) is None


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


def test_mcnemar_against_hand_value():
    # 1 of 5: (1 + 5) / 32 on either side
    assert mcnemar_p_value(1, 4) == pytest.approx(12 / 32)
    assert mcnemar_p_value(0, 0) == 1.0


def test_holm_leaves_unknown_ones_out():
    assert holm([0.01, float("nan"), 0.02])[0] == pytest.approx(0.02)


def test_methods_share_a_letter_unless_they_are_different():
    generator = np.random.default_rng(3)
    for _ in range(20):
        different = np.triu(generator.random((6, 6)) < 0.4, 1)
        different |= different.T
        found = [set(one) for one in letters(different)]
        for one, other in combinations(range(6), 2):
            assert bool(found[one] & found[other]) != different[one, other]


def test_a_million_rows_take_seconds():
    bank = open_bank("default", 200_000)
    values = np.random.default_rng(0).random((200_000, 4))
    start = time.monotonic()
    measure(values, design_of(bank.split, bank.episodes))
    assert time.monotonic() - start < 20
