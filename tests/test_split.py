"""A split is a list with one order, one hash and indices that fit it."""

from dataclasses import replace

import numpy as np
import pytest

from episodes.errors import UserError
from episodes.split import Split, Video


def renamed(split: Split, index: int, **changes: str) -> Split:
    videos = list(split.videos)
    videos[index] = replace(videos[index], **changes)
    return replace(split, videos=tuple(videos))


@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_input_does_not_matter(small_split: Split, seed: int):
    order = np.random.default_rng(seed).permutation(len(small_split.videos))
    videos = tuple(small_split.videos[index] for index in order)
    partners = dict(reversed(small_split.partners.items()))
    shuffled = replace(small_split, videos=videos, partners=partners)
    assert shuffled == small_split
    assert shuffled.sha256 == small_split.sha256


def test_videos_stand_by_class_then_group_then_name(small_split: Split):
    keys = [(video.label, video.group, video.name) for video in small_split.videos]
    assert keys == sorted(keys)
    assert small_split.classes == ("close", "open", "pull", "push", "rise", "sink")


def test_hash_is_a_constant(small_split: Split):
    """The canonical text is UTF-8 lines of names: nothing of Python or numpy is in it."""
    assert small_split.sha256 == "c19a68a99479a76c7adf9f5bb742df9cb4351e30f214407ebd408039470391bb"


def test_hash_changes_with_every_field_of_a_video_with_a_partner_and_with_a_video(
    small_split: Split,
):
    swapped = {**small_split.partners, "open": "pull", "push": "close"}
    others = [
        *(renamed(small_split, 3, **{field: "other"}) for field in ("label", "group", "name")),
        replace(small_split, partners=swapped),
        replace(small_split, videos=small_split.videos[1:]),
    ]
    assert len({small_split.sha256, *(other.sha256 for other in others)}) == 6


def test_empty_split_is_refused():
    with pytest.raises(UserError, match=r"small/val has no videos; add some"):
        Split("small", "val", ())


def test_video_listed_twice_is_refused(small_split: Split):
    twice = (*small_split.videos, *small_split.videos[:2])
    with pytest.raises(UserError, match=r"small/test lists 2 videos twice.*remove"):
        replace(small_split, videos=twice)
    again = replace(small_split.videos[0], group="elsewhere")
    with pytest.raises(UserError, match=r"lists 1 video twice"):
        replace(small_split, videos=(*small_split.videos, again))


def test_two_classes_may_use_one_name(small_split: Split):
    one, other = small_split.videos[0], small_split.videos[-1]
    assert one.label != other.label
    same_name = Video(other.label, other.group, one.name)
    assert same_name in replace(small_split, videos=(*small_split.videos, same_name)).videos


def test_indices_against_brute_force(small_split: Split):
    labels = [video.label for video in small_split.videos]
    starts = [labels.index(label) for label in small_split.classes]
    assert small_split.class_starts.tolist() == [*starts, len(labels)]
    keys = [(video.label, video.group) for video in small_split.videos]
    starts, sizes = small_split.group_bounds
    assert starts.tolist() == [keys.index(key) for key in keys]
    assert sizes.tolist() == [keys.count(key) for key in keys]
    classes = small_split.classes
    expected = [classes.index(small_split.partners[label]) for label in classes]
    assert small_split.partner_indices.tolist() == expected


def test_class_without_a_partner_in_the_split_has_index_minus_one(small_split: Split):
    partners = {"open": "close", "close": "open", "push": "absent"}
    indices = replace(small_split, partners=partners).partner_indices
    assert dict(zip(small_split.classes, indices.tolist(), strict=True)) == {
        "close": 1, "open": 0, "pull": -1, "push": -1, "rise": -1, "sink": -1
    }  # fmt: skip
