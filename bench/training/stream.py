"""The stream of training episodes, and the check that they use training classes alone."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.weights.recipe import TrainingRecipe
from episodes.banks.bank import Bank
from episodes.banks.recipe import recipe_of
from episodes.banks.sampler import VERSION, Episodes, draw
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.split import Split


@dataclass(frozen=True)
class Stream:
    """Seeded episodes of the training split; a longer stream continues a shorter one."""

    split: Split
    episodes: Episodes
    """Indices into ``split.videos``."""
    classes: NDArray[np.int64]
    """(episodes, way): training class of each way, as an index into ``split.classes``."""

    def used_videos(self) -> NDArray[np.int64]:
        """Return the indices of the videos that occur, ascending."""
        parts = (self.episodes.support.ravel(), self.episodes.query.ravel())
        return np.unique(np.concatenate(parts)).astype(np.int64)

    def window(self, first: int, count: int) -> "EpisodeBatch":
        """Return ``count`` consecutive episodes as tensors."""
        drawn = self.episodes
        parts = (drawn.support, drawn.query, drawn.labels, self.classes)
        rows = (part[first : first + count].astype(np.int64) for part in parts)
        return EpisodeBatch(*map(torch.from_numpy, rows))


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes as int64 indices of videos."""

    support: Tensor
    """(episodes, way, shot)"""
    query: Tensor
    """(episodes, queries)"""
    labels: Tensor
    """(episodes, queries)"""
    classes: Tensor
    """(episodes, way)"""

    def to(self, device: torch.device) -> "EpisodeBatch":
        """Return the same episodes on another device."""
        parts = (self.support, self.query, self.labels, self.classes)
        return EpisodeBatch(*(part.to(device) for part in parts))

    @property
    def videos(self) -> Tensor:
        """All videos, support first: (episodes * (way * shot + queries),)."""
        return torch.cat([self.support.flatten(), self.query.flatten()])

    @property
    def video_classes(self) -> Tensor:
        """Training class of each of `videos`."""
        of_support = self.classes[..., None].expand(self.support.shape)
        return torch.cat([of_support.flatten(), self.classes.gather(1, self.labels).flatten()])


def training_stream(validation: Bank, recipe: TrainingRecipe, seed: int) -> Stream:
    """Draw training episodes of the same data set, way and shot as a validation bank.

    Raises:
        UserError: the bank does not use validation classes, a training class is also in a held-out
            split, or the training split cannot fill an episode.
    """
    split = guarded_split(validation)
    drawn_by = recipe_of(
        name=f"training on {split.dataset}",
        dataset=split.dataset,
        split="train",
        protocol=recipe.protocol,
        way=validation.recipe.way,
        shot=validation.recipe.shot,
        queries=recipe.queries,
        episodes=recipe.episodes,
        seed=seed,
        sampler=VERSION,
    )
    episodes = draw(drawn_by, split, recipe.episodes)
    # Videos are sorted by class.
    classes = np.searchsorted(split.class_starts, episodes.support[:, :, 0], side="right") - 1
    return Stream(split, episodes, classes)


def guarded_split(validation: Bank) -> Split:
    """Return the training split of a validation bank's data set after a check for leaks.

    Raises:
        UserError: the bank uses test or training classes, or splits share a class.
    """
    if validation.recipe.split != "val":
        raise UserError(
            f"--validation {validation.recipe.name} uses the {validation.recipe.split} classes;"
            " checkpoints are chosen on validation classes, never on those that are reported:"
            " name a bank of the split val (`fvbench list banks`)"
        )
    source = dataset(validation.recipe.dataset)
    split = source.split("train")
    held_outs = [source.split("val")]
    with suppress(UserError):  # lists of one's own may name no test classes
        held_outs.append(source.split("test"))
    for held_out in held_outs:
        shared = sorted(set(split.classes) & set(held_out.classes))
        if shared:
            raise UserError(
                f"dataset {source.name}: classes {', '.join(shared[:3])} are in train and in"
                f" {held_out.name}; few-shot learning is tested on classes that training never saw:"
                " correct the lists"
            )
    return split
