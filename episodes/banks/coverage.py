"""What remains of a bank if videos are missing: whole episodes, which never change."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from episodes.banks.bank import Bank
from episodes.datasets.folder import Folder
from episodes.datasets.published import Published
from episodes.errors import UserError
from episodes.split import Progress, Video


def unusable(bank: Bank, progress: Progress) -> dict[Video, str]:
    """Return the videos of a bank that are missing or cannot be read, and why."""
    if not isinstance(bank.source, Published | Folder):
        return {}
    videos = [bank.split.videos[index] for index in bank.used_videos()]
    return bank.source.unusable(videos, progress)


def without(bank: Bank, missing: Mapping[Video, str]) -> Bank:
    """Drop every episode that contains one of the videos.

    The remaining bank has a hash and a title of its own: it is never mistaken for the whole bank.

    Raises:
        UserError: no episode is left.
    """
    kept = untouched(bank, missing)
    if not kept.any():
        video, why = next(iter(missing.items()))
        raise UserError(
            f"every episode of bank {bank.recipe.name} contains one of the videos that"
            f" cannot be used ({len(missing):,}, such as {video.label}/{video.name}: {why}); get"
            " some of them"
        )
    return bank if kept.all() else bank.only(np.flatnonzero(kept))


def untouched(bank: Bank, missing: Collection[Video]) -> NDArray[np.bool_]:
    """Return which episodes contain none of the videos: bool (episodes,)."""
    gone = np.array([video in missing for video in bank.split.videos])
    support = gone[bank.episodes.support].any(axis=(1, 2))
    return np.asarray(~(support | gone[bank.episodes.query].any(axis=1)))
