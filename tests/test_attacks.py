"""The small form of the attacks: ``python -m tests.attacks`` has the large ones."""

import random
from collections.abc import Callable

import pytest

from tests.attacks import files, inputs, mutants, values
from tests.attacks.files import Target
from tests.attacks.inputs import Kind
from tests.attacks.mutants import ROOT, Place


@pytest.mark.parametrize("target", files.TARGETS, ids=lambda target: target.name)
def test_damage_is_named_and_never_believed(target: Target):
    tally = files.attack(target, 6, seed=1)
    assert tally.counts.total() == 6
    assert not tally.faults


@pytest.mark.parametrize(
    ("target", "alter"), values.ALTERED, ids=lambda one: getattr(one, "name", "")
)
def test_a_file_that_says_nonsense_is_named_or_taken_at_its_word(
    target: Target, alter: Callable[[bytes, random.Random], bytes]
):
    tally = files.attack(target, 8, seed=1, damage=alter)
    assert tally.counts.total() == 8
    assert not tally.faults


@pytest.mark.parametrize("kind", inputs.KINDS, ids=lambda kind: kind.name)
def test_whatever_is_drawn_ends_in_success_or_one_message(kind: Kind):
    tally = inputs.attack(kind, 20)
    assert tally.counts.total() >= 10  # some kinds have few different inputs
    assert not tally.faults


@pytest.mark.parametrize("place", mutants.PLACES, ids=lambda place: place.name)
def test_the_code_of_every_mistake_is_still_there(place: Place):
    code = (ROOT / place.file).read_text(encoding="utf-8")
    assert [old for old, _ in place.mistakes if old not in code] == []
