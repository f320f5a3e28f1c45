"""Which frames of a video make a clip, or several: named rules, part of a feature's identity."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from episodes.errors import UserError

Rule = Callable[[int, int], NDArray[np.int64]]
MOST_CLIPS = 99


def segment_centres(available: int, wanted: int) -> NDArray[np.int64]:
    """Split the video into ``wanted`` equal segments and take the middle frame of each.

    A video with fewer frames than wanted repeats some of them, in order.

    >>> segment_centres(32, 4).tolist()
    [4, 12, 20, 28]
    >>> segment_centres(2, 4).tolist()
    [0, 0, 1, 1]
    """
    return ((2 * np.arange(wanted) + 1) * available) // (2 * wanted)


def linspace(available: int, wanted: int) -> NDArray[np.int64]:
    """Take equally spaced frames, including the first and the last of the video.

    >>> linspace(32, 4).tolist()
    [0, 10, 20, 31]
    """
    return (np.arange(wanted) * (available - 1)) // max(1, wanted - 1)


def middle_frame(available: int, wanted: int) -> NDArray[np.int64]:
    """Repeat the middle frame: a clip without motion.

    >>> middle_frame(9, 3).tolist()
    [4, 4, 4]
    """
    return np.full(wanted, available // 2, dtype=np.int64)


RULES: dict[str, Rule] = {
    "segment-centres": segment_centres,
    "linspace": linspace,
    "middle-frame": middle_frame,
}
"""The rules by name. What a name stands for never changes."""


@dataclass(frozen=True)
class Jittered:
    """A rule applied between a random start and end of the video: for training.

    Source: Liu et al. (MASTAF), github.com/lxhit/STAF, with the rule ``linspace`` and ``most`` 5.
    Differs: there frames are jittered in testing too.
    """

    rule: str
    """A name in `RULES`."""
    most: int
    """Frames that may be cut off at either end; as many as the clip has are always left."""
    begin: float
    """Fraction of that to cut off at the beginning, in [0, 1)."""
    end: float
    """Fraction to cut off at the end, in [0, 1)."""

    def indices(self, available: int, wanted: int) -> NDArray[np.int64]:
        """Return the indices of the frames.

        >>> Jittered("linspace", 5, begin=0.5, end=0.0).indices(32, 4).tolist()
        [3, 12, 21, 31]
        """
        room = max(0, min(self.most, (available - wanted) // 2))
        begin, end = (int(part * (room + 1)) for part in (self.begin, self.end))
        return begin + RULES[self.rule](available - begin - end, wanted)


Sampling = str | Jittered | tuple[str, ...]
"""The name of a sampling, as `frame_indices` takes it; a jittered rule, in training; or several
names, whose frames are decoded together and follow each other."""


def frame_indices(sampling: Sampling, available: int, wanted: int) -> NDArray[np.int64]:
    """Return the indices of the frames to take from a video.

    For several clips, as in ``3 x linspace``, the rule takes three times as many frames, which are
    dealt to the clips in turn. So frame t of every clip comes from the same part of the video, and
    the feature maps of the clips may be averaged position by position.

    Args:
        sampling: a name in `RULES`, or ``N x NAME``; several of them; or a jittered rule.
        available: frames in the video, at least 1.
        wanted: frames in a clip, at least 1.

    Returns:
        (clips * wanted,), clip after clip, sampling after sampling.

    Raises:
        UserError: no such rule.

    >>> frame_indices("3 x segment-centres", 24, 4).tolist()
    [1, 7, 13, 19, 3, 9, 15, 21, 5, 11, 17, 23]
    """
    if isinstance(sampling, Jittered):
        return sampling.indices(available, wanted)
    if isinstance(sampling, tuple):
        return np.concatenate([frame_indices(one, available, wanted) for one in sampling])
    clips, rule = _read(sampling)
    return RULES[rule](available, clips * wanted).reshape(wanted, clips).T.ravel()


def canonical(sampling: str) -> str:
    """Return the canonical form of a sampling, under which features are stored.

    Raises:
        UserError: no such rule.

    >>> canonical("3xlinspace"), canonical("1 x linspace")
    ('3 x linspace', 'linspace')
    """
    clips, rule = _read(sampling)
    return rule if clips == 1 else f"{clips} x {rule}"


def clip_count(sampling: Sampling) -> int:
    """Return the number of clips taken from a video.

    >>> clip_count("3 x linspace"), clip_count("linspace")
    (3, 1)
    """
    if isinstance(sampling, tuple):
        return sum(map(clip_count, sampling))
    return 1 if isinstance(sampling, Jittered) else _read(sampling)[0]


def one_clip(sampling: str) -> str:
    """Return the rule without the number of clips: training and pictures show a single clip.

    >>> one_clip("3 x linspace")
    'linspace'
    """
    return _read(sampling)[1]


def _read(sampling: str) -> tuple[int, str]:
    """The number of clips and the rule."""
    match = re.fullmatch(r"(?:(\d{1,6}) ?x ?)?(.*)", sampling)
    clips, rule = (int(match[1] or 1), match[2]) if match else (1, sampling)
    if rule not in RULES:
        raise UserError(
            f"no frame sampling is called {sampling!r}; there are: {', '.join(RULES)}, each also"
            " with several clips, as in `3 x segment-centres`"
        )
    if not 1 <= clips <= MOST_CLIPS:
        raise UserError(f"frame sampling {sampling!r}: a video gives 1 to {MOST_CLIPS} clips")
    return clips, rule
