"""The units that were drawn at random besides the episodes: classes and recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from episodes.banks.sampler import Episodes
from episodes.split import Split


@dataclass(frozen=True)
class Units:
    """Units of one kind, and which of them each episode contains."""

    members: NDArray[np.int32]
    """(episodes, videos of an episode) unit of each video, -1 where a unit is repeated."""
    strata: NDArray[np.int64]
    """(units,) stratum within which another unit would replace it; all 0 if there are none."""
    kind: str
    """What a unit is, in the plural: "classes", "partner pairs", "videos", "recordings"."""
    names: Sequence[str] = ()
    """Names of the classes, or of both classes of each pair; empty for videos."""

    def __len__(self) -> int:
        """The number of units."""
        return len(self.strata)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(units,) number of episodes that show each."""
        return np.bincount(self.members[self.members >= 0], minlength=len(self))

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(units,) whether any episode shows it; the others have no part in a mean."""
        return self.counts > 0

    @property
    def always_shown(self) -> NDArray[np.bool_]:
        """(units,) whether every episode shows it, so that its effect cannot be estimated."""
        return np.asarray(self.counts == len(self.members))


@dataclass(frozen=True)
class Design:
    """The units of a bank's episodes."""

    classes: Units
    """Classes, or pairs of partner classes where the split has them: partners come together."""
    videos: Units
    """Videos, or recordings where several videos were cut from one; strata are the classes."""


def design_of(split: Split, episodes: Episodes) -> Design:
    """Find the classes and recordings that each episode shows.

    Partner classes are one unit: how hard they are depends on how alike they are, and a data set
    with other classes would have other pairs. The videos of a recording are one unit, too.
    """
    shown = np.concatenate([episodes.support.reshape(len(episodes), -1), episodes.query], axis=1)
    class_of_video = np.searchsorted(split.class_starts, np.arange(len(split.videos)), "right") - 1
    own = np.arange(len(split.classes))
    partner = np.where(split.partner_indices < 0, own, split.partner_indices)
    pair_of_class = _numbered(np.minimum(own, partner))
    recordings = _numbered(split.group_bounds[0])
    class_of_recording = np.zeros(recordings.max() + 1, dtype=np.int64)
    class_of_recording[recordings] = class_of_video
    return Design(
        classes=Units(
            _members(pair_of_class[class_of_video], shown),
            np.zeros(pair_of_class.max() + 1, dtype=np.int64),
            "partner pairs" if (partner != own).any() else "classes",
            [
                " and ".join(split.classes[one] for one in np.flatnonzero(pair_of_class == pair))
                for pair in range(pair_of_class.max() + 1)
            ],
        ),
        videos=Units(
            _members(recordings, shown),
            class_of_recording,
            "recordings" if len(class_of_recording) < len(split.videos) else "videos",
        ),
    )


def _numbered(names: NDArray[np.int64]) -> NDArray[np.int64]:
    """Replace names by 0, 1, 2, ... in their order."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _members(unit_of_video: NDArray[np.int64], shown: NDArray[np.int32]) -> NDArray[np.int32]:
    members = np.sort(unit_of_video[shown].astype(np.int32), axis=1)
    members[:, 1:][members[:, 1:] == members[:, :-1]] = -1
    return members
