"""Banks: the episodes of a recipe, checked against the hashes it states.

If videos are missing, whole episodes are dropped; the others never change.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape

import numpy as np
from numpy.typing import NDArray

from episodes.banks.recipe import UNKNOWN, Recipe, read_recipe, recipe_of
from episodes.banks.sampler import Episodes, draw
from episodes.datasets import Dataset, dataset
from episodes.datasets.folder import Folder
from episodes.datasets.published import Published
from episodes.errors import UserError
from episodes.split import Progress, Split, Video, VideoFile


@dataclass(frozen=True)
class Bank:
    """A fixed list of episodes over one split."""

    recipe: Recipe
    split: Split
    episodes: Episodes
    source: Dataset
    """The data set, which knows where the videos are."""
    left_out: int = 0
    """Number of episodes left out because one of their videos is missing (`without`)."""
    kept: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    """Numbers of the recipe's episodes that are here, if some were left out."""

    @property
    def title(self) -> str:
        """The bank's name, and the number of its episodes that are here if not all are.

        >>> open_bank("default").title
        'default'
        """
        if not self.left_out:
            return self.recipe.name
        total = len(self.episodes) + self.left_out
        return f"{self.recipe.name} ({len(self.episodes):,} of {total:,} episodes)"

    @property
    def sha256(self) -> str:
        """Hash of exactly these episodes; only runs with the same hash are compared."""
        return episodes_sha256(self.split, self.episodes)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each episode in the recipe's stream, (episodes,)."""
        return np.arange(len(self.episodes)) if self.kept is None else self.kept

    def only(self, kept: NDArray[np.int64]) -> "Bank":
        """Return the bank of the episodes at these positions, (episodes kept,) ascending."""
        episodes = Episodes(
            self.episodes.support[kept], self.episodes.query[kept], self.episodes.labels[kept]
        )
        left_out = self.left_out + len(self.episodes) - len(kept)
        return replace(self, episodes=episodes, left_out=left_out, kept=self.numbers[kept])

    def _repr_html_(self) -> str:
        """The bank as a notebook shows it."""
        recipe = self.recipe
        facts = {
            "data set": f"{recipe.dataset}, {recipe.split} classes",
            "episodes": f"{len(self.episodes):,}, {recipe.way}-way {recipe.shot}-shot",
            "queries": f"{self.episodes.labels.shape[1]} in each ({recipe.protocol})",
            "videos": f"{len(self.split.videos):,} of {len(self.split.classes)} classes",
            "sha256": f"{self.sha256:.12}…",
        }
        lines = "".join(
            f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in facts.items()
        )
        return f"<table><caption>{escape(self.title)}</caption>{lines}</table>"

    def used_videos(self) -> np.ndarray:
        """Return the indices of the videos that occur in episodes, ascending."""
        parts = (self.episodes.support.ravel(), self.episodes.query.ravel())
        return np.unique(np.concatenate(parts))


class BankMismatchError(UserError):
    """A hash differs from the one that a recipe states."""


def open_bank(name_or_path: str, episodes: int | None = None, without_list: bool = False) -> Bank:
    """Rebuild a bank from the name of a committed recipe, or from the path of one; see `rebuild`.

    Raises:
        BankMismatchError: the split or the episodes are not those of the recipe.
        UserError: no such bank, or one that cannot be drawn.
    """
    return rebuild(read_recipe(name_or_path), episodes, without_list)


def rebuild(
    recipe: Recipe,
    episodes: int | None = None,
    without_list: bool = False,
    source: Dataset | None = None,
) -> Bank:
    """Draw a recipe's bank, and verify it.

    Args:
        recipe: with its hashes.
        episodes: number of episodes, from the first; if None, the number in the recipe. A larger
            number continues the same random stream.
        without_list: if the dataset is not here, draw from its facts: the same classes and
            recordings in the same episodes, of videos without names.
        source: the dataset; if None, the one that the recipe names.

    Raises:
        BankMismatchError: the split or the episodes are not those of the recipe.
        UserError: no such dataset, or a bank that cannot be drawn.
    """
    # Refuses more episodes than fit into memory before any is drawn.
    asked = recipe if episodes is None else recipe_of(**recipe.content() | {"episodes": episodes})
    source = source or dataset(recipe.dataset)
    try:
        split = source.split(recipe.split)
    except UserError:
        if not without_list or not isinstance(source, Published):
            raise
        split = source.outline(recipe.split)
    drawn = verified(recipe, split)
    if asked != recipe:
        drawn = draw(recipe, split, asked.episodes)
    return Bank(recipe, split, drawn, source)


def check_contents(bank: Bank, files: Sequence[VideoFile]) -> None:
    """Refuse videos whose contents are not those that a recipe was frozen with.

    The hash covers exactly the recipe's number of episodes: a bank of another number passes.

    Raises:
        BankMismatchError: the contents differ.
    """
    stated, found = bank.recipe.contents_sha256, contents_sha256(files)
    if stated != UNKNOWN and len(bank.episodes) == bank.recipe.episodes and stated != found:
        raise BankMismatchError(
            f"bank {bank.recipe.name}: the contents of its {len(files):,} videos have sha256"
            f" {found}, the recipe was frozen with {stated}: a file has changed, though the names"
            " have not; restore the files, or freeze a bank of your own"
        )


def contents_sha256(files: Sequence[VideoFile]) -> str:
    """Hash of the names and contents of videos, in any order."""
    lines = sorted(f"{file.video.label}/{file.video.name} {file.sha256}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verified(recipe: Recipe, split: Split) -> Episodes:
    """Draw a recipe's episodes, and check the hashes of the split and of the episodes.

    Raises:
        BankMismatchError: a hash differs; the message names the input that changed.
        UserError: the recipe states no hashes.
    """
    if UNKNOWN in (recipe.split_sha256, recipe.episodes_sha256):
        known = frozen(recipe, split)
        raise UserError(
            f"bank {recipe.name} states no hashes, so nothing can be verified; `fvbench bank freeze"
            f' FILE` writes them into the file: split_sha256 = "{known.split_sha256}",'
            f' episodes_sha256 = "{known.episodes_sha256}"'
        )
    if recipe.split_sha256 != split.sha256:
        raise BankMismatchError(
            f"bank {recipe.name}: the list of {split.dataset}/{split.name} has sha256"
            f" {split.sha256}, the recipe was made from {recipe.split_sha256}: classes, videos or"
            " groups differ; restore the original list, or make a bank of your own"
        )
    drawn = draw(recipe, split, recipe.episodes)
    found = episodes_sha256(split, drawn)
    if recipe.episodes_sha256 != found:
        raise BankMismatchError(
            f"bank {recipe.name}: the episodes drawn have sha256 {found}, the recipe states"
            f" {recipe.episodes_sha256}, from the same list: the recipe's numbers or the sampler"
            " changed; restore the recipe"
        )
    return drawn


def frozen(recipe: Recipe, split: Split) -> Recipe:
    """Return the recipe with its hashes filled in, as it is committed."""
    stated = recipe.changed(split_sha256=split.sha256)
    found = episodes_sha256(split, draw(stated, split, stated.episodes))
    return stated.changed(episodes_sha256=found)


def episodes_sha256(split: Split, episodes: Episodes) -> str:
    """Hash of the logical content, the videos of every episode, in a fixed byte order."""
    digest = hashlib.sha256(f"fewshot-video-bench episodes\n{split.sha256}\n".encode())
    for array, kind in (
        (episodes.support, "<i4"),
        (episodes.query, "<i4"),
        (episodes.labels, "<i2"),
    ):
        digest.update(f"{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return digest.hexdigest()


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


def unexplained(bank: Bank) -> int:
    """Count the episodes that were left out for no missing video, such as the hardest.

    Missing videos explain an episode that has a video which no remaining episode has, in a data set
    whose videos may be missing.
    """
    if not bank.left_out or not isinstance(bank.source, Published | Folder):
        return bank.left_out
    total = len(bank.episodes) + bank.left_out
    whole = rebuild(bank.recipe, total, without_list=True, source=bank.source)
    shown = {bank.split.videos[index] for index in bank.used_videos()}
    without_reason = untouched(whole, set(bank.split.videos) - shown)
    without_reason[bank.numbers] = False
    return int(without_reason.sum())
