"""EgoGestAR: ten gestures drawn in the air with a pointing finger, filmed by a wearable camera.

The background carries no information about the gesture; what counts is the path of the fingertip.
All ten classes are test classes: there are too few to train on.

Source: varunj/EgoGestAR on GitHub at 90188de, folder ``testvideo``, the test set of Garg, Hegde,
Perla, Jain, Vig and Hebbalaguppe, "DrawInAir: A Lightweight Gestural Interface Based on Fingertip
Regression", ECCV workshops 2018.
"""

import re
from collections.abc import Collection, Iterable

from episodes.datasets.published import Published
from episodes.disk.locating import name_of

CLIPS = 22
"""Number of clips of each class."""
UNCLASSIFIED = "unclassified"
"""Label of another 20 clips, which show random movements of the hand: no class."""


def identify(path: str) -> tuple[str, str] | None:
    """Return the class and the name of a clip, both from the name of its file.

    >>> identify("EgoGestAR/testvideo/testvideo_circlecc_7.mp4")
    ('circlecc', 'testvideo_circlecc_7')
    """
    match = re.fullmatch(r"testvideo_([a-z]+)_\d+", name := name_of(path))
    return (match[1], name) if match and match[1] != UNCLASSIFIED else None


def clips(label: str, found: Collection[str]) -> Iterable[str]:
    """Name all clips of a class, found or not: they are numbered from 1."""
    return (f"testvideo_{label}_{number}" for number in range(1, CLIPS + 1))


DATASET = Published(
    name="egogestar",
    also_called=("PointGestAR",),
    description="EgoGestAR, gestures of a pointing finger: 10 test classes of 22 videos",
    how_to_get=(
        "git clone https://github.com/varunj/EgoGestAR && git -C EgoGestAR checkout 90188de;"
        " PATH is EgoGestAR/testvideo, with testvideo_CLASS_N.mp4."
    ),
    identify=identify,
    derivable=True,
    naming_rule=clips,
    directional=True,
    partners={"left": "right", "right": "left", "up": "down", "down": "up"},
)
