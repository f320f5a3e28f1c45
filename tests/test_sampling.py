"""Which frames make a clip."""

from fractions import Fraction

import numpy as np
import pytest

from episodes.decoding.sampling import RULES, Jittered, canonical, frame_indices, one_clip
from episodes.errors import UserError

FIXED = [
    ("segment-centres", 16, 8, [1, 3, 5, 7, 9, 11, 13, 15]),
    ("segment-centres", 3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
    ("linspace", 16, 8, [0, 2, 4, 6, 8, 10, 12, 15]),
    ("linspace", 3, 8, [0, 0, 0, 0, 1, 1, 1, 2]),
    ("middle-frame", 16, 4, [8, 8, 8, 8]),
    ("middle-frame", 1, 2, [0, 0]),
]


def test_no_rule_ever_changes_under_its_name():
    """Features on disk are keyed by the rule's name."""
    assert {rule for rule, *_ in FIXED} == set(RULES)
    for rule, available, wanted, expected in FIXED:
        assert frame_indices(rule, available, wanted).tolist() == expected


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


def test_linspace_is_numpys_but_for_rounding():
    for available in range(1, 40):
        for wanted in range(1, 20):
            exact = np.linspace(0, available - 1, wanted)
            assert frame_indices("linspace", available, wanted) == pytest.approx(
                np.floor(exact + 1e-9)
            )


@pytest.mark.parametrize("rule", RULES)
def test_several_clips_share_out_the_frames_of_one_long_clip(rule):
    clips = frame_indices(f"3 x {rule}", 50, 8).reshape(3, 8)
    assert sorted(clips.ravel().tolist()) == frame_indices(rule, 50, 24).tolist()
    # Frame t of each clip is of the same part of the video: no clip runs ahead of another.
    assert (clips[:, 1:] >= clips[:, :-1].max(axis=0)).all()


def test_a_sampling_has_one_name_in_files():
    assert {canonical(one) for one in ("3xlinspace", "3 x linspace", "03x linspace")} == {
        "3 x linspace"
    }
    assert canonical("1 x linspace") == canonical("linspace") == one_clip("7xlinspace")


@pytest.mark.parametrize("available", [1, 7, 8, 9, 11, 17, 18, 40])
def test_jittered_frames_are_those_of_the_authors(available):
    """linspace between a start in [0, p] and an end in [n - 1 - p, n - 1], p = min(5, excess/2)."""
    seen = set()
    for begin in np.arange(0, 1, 1 / 16):
        for end in np.arange(0, 1, 1 / 16):
            indices = Jittered("linspace", 5, begin, end).indices(available, 8).tolist()
            first, last = indices[0], indices[-1]
            exact = np.linspace(first, last, 8)
            assert indices == np.floor(exact + 1e-9).astype(int).tolist()
            seen.add((first, available - 1 - last))
    most = max(0, min(5, (available - 8) // 2))
    assert seen == {(one, other) for one in range(most + 1) for other in range(most + 1)}


@pytest.mark.parametrize("name", ["centre", "2 x centre", "x linspace", "", "-1 x linspace"])
def test_unknown_rule_is_refused_with_those_there_are(name):
    with pytest.raises(UserError, match=rf"'{name}'.*segment-centres, linspace, middle-frame"):
        frame_indices(name, 16, 8)


@pytest.mark.parametrize("name", ["0 x linspace", "100xlinspace"])
def test_so_many_clips_are_refused(name):
    with pytest.raises(UserError, match="1 to 99 clips"):
        canonical(name)
