"""What remains of a bank where videos are missing: whole episodes, never changed ones."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from episodes.bank import Bank
from episodes.datasets.published import Published
from episodes.errors import UserError
from episodes.split import Video


def without_missing(bank: Bank) -> Bank:
    """Leave out every episode that touches a video which is not there, or known to be damaged.

    What is left has a hash and a title of its own: it is never taken for the whole bank.

    Raises:
        UserError: no episode is left.
    """
    if not isinstance(bank.source, Published):
        return bank
    videos = [bank.split.videos[index] for index in bank.used_videos()]
    unusable = bank.source.unusable(bank.source.index(bank.source.root), videos)
    kept = untouched(bank, set(unusable))
    if not kept.any():
        raise UserError(
            f"every episode of bank {bank.recipe.name} touches one of {len(unusable):,} missing"
            f" videos; get some: `fvbench data verify {bank.source.name}` names them"
        )
    if kept.all():
        return bank
    return bank.only(np.flatnonzero(kept))


def untouched(bank: Bank, missing: Collection[Video]) -> NDArray[np.bool_]:
    """Return which episodes touch none of the videos: bool (episodes,)."""
    gone = np.array([video in missing for video in bank.split.videos])
    support = gone[bank.episodes.support].any(axis=(1, 2))
    return np.asarray(~(support | gone[bank.episodes.query].any(axis=1)))
