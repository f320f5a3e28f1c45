"""Which frames of a video make a clip: named rules, part of a feature's identity."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from episodes.errors import UserError

Rule = Callable[[int, int], NDArray[np.int64]]


def segment_centres(available: int, wanted: int) -> NDArray[np.int64]:
    """Cut the video into ``wanted`` equal parts and take the frame in the middle of each.

    A video with fewer frames than wanted gives some of them twice, in order.

    >>> segment_centres(32, 4).tolist()
    [4, 12, 20, 28]
    >>> segment_centres(2, 4).tolist()
    [0, 0, 1, 1]
    """
    return ((2 * np.arange(wanted) + 1) * available) // (2 * wanted)


def middle_frame(available: int, wanted: int) -> NDArray[np.int64]:
    """Take the middle frame as often as frames are wanted: a clip in which nothing moves.

    >>> middle_frame(9, 3).tolist()
    [4, 4, 4]
    """
    return np.full(wanted, available // 2, dtype=np.int64)


RULES: dict[str, Rule] = {"segment-centres": segment_centres, "middle-frame": middle_frame}
"""The rules by name. The result of a rule under a name never changes."""


def frame_indices(rule: str, available: int, wanted: int) -> NDArray[np.int64]:
    """Return the indices of the frames that ``rule`` takes from a video.

    Args:
        rule: a name in `RULES`.
        available: frames in the video, at least 1.
        wanted: frames in the clip, at least 1.

    Raises:
        UserError: no such rule.
    """
    if rule not in RULES:
        raise UserError(f"no frame sampling is called {rule!r}; there are: {', '.join(RULES)}")
    return RULES[rule](available, wanted)
