"""The small form of the attacks: ``python -m tests.attacks`` has the large ones."""

import pytest

from tests.attacks import files, inputs
from tests.attacks.files import Target
from tests.attacks.inputs import Kind


@pytest.mark.parametrize("target", files.TARGETS, ids=lambda target: target.name)
def test_damage_is_named_and_never_believed(target: Target):
    tally = files.attack(target, 12, seed=1)
    assert tally.counts.total() == 12
    assert not tally.faults


@pytest.mark.parametrize("kind", inputs.KINDS, ids=lambda kind: kind.name)
def test_whatever_is_drawn_ends_in_success_or_one_message(kind: Kind):
    tally = inputs.attack(kind, 60)
    assert tally.counts.total() >= 20  # some kinds have few different inputs
    assert not tally.faults
