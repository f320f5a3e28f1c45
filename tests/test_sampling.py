"""Which frames make a clip."""

from fractions import Fraction

import pytest

from episodes.errors import UserError
from episodes.sampling import RULES, frame_indices

FIXED = [
    ("segment-centres", 16, 8, [1, 3, 5, 7, 9, 11, 13, 15]),
    ("segment-centres", 24, 8, [1, 4, 7, 10, 13, 16, 19, 22]),
    ("segment-centres", 32, 8, [2, 6, 10, 14, 18, 22, 26, 30]),
    ("segment-centres", 10, 4, [1, 3, 6, 8]),
    ("segment-centres", 3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
    ("segment-centres", 1, 3, [0, 0, 0]),
    ("middle-frame", 16, 4, [8, 8, 8, 8]),
    ("middle-frame", 1, 2, [0, 0]),
]


@pytest.mark.parametrize(("rule", "available", "wanted", "expected"), FIXED)
def test_rule_never_changes_under_its_name(rule, available, wanted, expected):
    """Features on disk are keyed by the rule's name."""
    assert frame_indices(rule, available, wanted).tolist() == expected


def test_every_rule_has_its_constants_here():
    assert {rule for rule, *_ in FIXED} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_indices_are_frames_of_the_video_in_order(rule):
    for available in range(1, 40):
        for wanted in range(1, 20):
            indices = frame_indices(rule, available, wanted).tolist()
            assert len(indices) == wanted
            assert indices == sorted(indices)
            assert 0 <= indices[0] <= indices[-1] < available


def test_segment_centres_against_fractions():
    for available in range(1, 40):
        for wanted in range(1, 20):
            length = Fraction(available, wanted)
            middles = [int(length * part + length / 2) for part in range(wanted)]
            assert frame_indices("segment-centres", available, wanted).tolist() == middles


def test_as_many_frames_as_there_are_means_all_of_them():
    assert frame_indices("segment-centres", 7, 7).tolist() == list(range(7))


def test_unknown_rule_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"'centre'.*segment-centres, middle-frame"):
        frame_indices("centre", 16, 8)
