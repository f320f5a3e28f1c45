"""Drawing episodes: every episode from its own window of one stream of random words.

The key of the stream is a hash of the recipe, and its window i belongs to episode i. So an episode
does not depend on how many others are drawn, in which order, or in which process. All draws are
vectorised over episodes; a million take about a second.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from episodes.banks.recipe import Recipe
from episodes.draws import (
    WORDS_PER_BLOCK,
    Integers,
    Words,
    distinct,
    integers,
    key_from,
    skip,
    words,
)
from episodes.errors import UserError, counted
from episodes.split import Split

VERSION: Final = 1
"""Raised whenever a recipe would yield other episodes."""
CHUNK = 1 << 15
"""Episodes drawn at once: it bounds memory and does not affect the episodes."""

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class Episodes:
    """Episodes as indices into a split's canonical list of videos.

    The order of classes, shots and queries is shuffled: position carries no information.
    """

    support: Indices
    """(episodes, way, shot) videos."""
    query: Indices
    """(episodes, queries) videos."""
    labels: NDArray[np.int16]
    """(episodes, queries) the way that each query belongs to, 0..way-1."""

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.support)


def draw(recipe: Recipe, split: Split, episodes: int) -> Episodes:
    """Draw the first ``episodes`` episodes of a recipe.

    Raises:
        UserError: the split cannot fill such an episode; the message names a class that is short.
    """
    if recipe.sampler != VERSION:
        raise UserError(
            f"bank {recipe.name} was drawn by sampler {recipe.sampler}, this program has sampler"
            f" {VERSION}; install the version of fewshot-video-bench that the bank names"
        )
    _check_enough(recipe, split)
    parts = [
        _draw_chunk(recipe, split, first, min(CHUNK, episodes - first))
        for first in range(0, episodes, CHUNK)
    ]
    return Episodes(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Episodes)
        )
    )


def _key(recipe: Recipe, split: Split) -> int:
    """The stream's key: everything that determines the episodes, except their number."""
    return key_from(
        "fewshot-video-bench episodes",
        str(recipe.sampler),
        recipe.dataset,
        split.sha256,
        recipe.protocol,
        *(str(number) for number in (recipe.way, recipe.shot, recipe.queries, recipe.seed)),
    )


def _draw_chunk(recipe: Recipe, split: Split, first: int, count: int) -> Episodes:
    way, videos = recipe.way, recipe.shot + recipe.queries
    sizes = [2 * way, way * videos, recipe.queries_per_episode, 1]
    blocks = -(-sum(sizes) // WORDS_PER_BLOCK)
    window = words(_key(recipe, split), first * blocks, count * blocks).reshape(count, -1)
    for_classes, for_videos, for_order, for_one = np.split(window, np.cumsum(sizes), axis=1)[:4]

    classes = _draw_classes(recipe, split, for_classes)
    chosen = _draw_videos(recipe, split, classes, for_videos.reshape(count, way, videos))
    support, query = chosen[..., : recipe.shot], chosen[..., recipe.shot :]
    labels = np.broadcast_to(np.arange(way)[None, :, None], query.shape)
    if recipe.protocol == "one-class":
        one = integers(for_one, way)[..., None]
        query, labels = (np.take_along_axis(part, one, axis=1) for part in (query, labels))
    order = distinct(for_order, recipe.queries_per_episode)
    query, labels = (
        np.take_along_axis(part.reshape(count, -1), order, axis=1) for part in (query, labels)
    )
    return Episodes(support.astype(np.int32), query.astype(np.int32), labels.astype(np.int16))


def _draw_classes(recipe: Recipe, split: Split, source: Words) -> Integers:
    """(episodes, 2 * way) words -> (episodes, way) classes in random order."""
    way = recipe.way
    if recipe.protocol != "partners":
        return distinct(source[:, :way], len(split.classes))
    firsts = _pair_firsts(split)
    paired = way // 2
    drawn = firsts[distinct(source[:, :paired], len(firsts))]
    pairs = [*drawn.T, *split.partner_indices[drawn].T]
    others = distinct(source[:, paired : way - paired], len(split.classes), taken=pairs)
    classes = np.concatenate([np.stack(pairs, axis=1), others], axis=1)
    order = distinct(source[:, way:], way)
    return np.asarray(np.take_along_axis(classes, order, axis=1), dtype=np.int64)


def _pair_firsts(split: Split) -> Integers:
    """The first class of every partner pair."""
    partners = split.partner_indices
    return np.flatnonzero(partners > np.arange(len(partners))).astype(np.int64)


def _draw_videos(recipe: Recipe, split: Split, classes: Integers, source: Words) -> Integers:
    """Draw distinct videos of each class: (episodes, way, shot + queries) words -> videos."""
    first = split.class_starts[classes]
    size = split.class_starts[classes + 1] - first
    if recipe.protocol != "group-disjoint":
        return np.asarray(first[..., None] + distinct(source, size), dtype=np.int64)
    support = distinct(source[..., : recipe.shot], size)
    starts, sizes = _taken_groups(split, first, support)
    queries: list[Integers] = []
    for word in np.moveaxis(source[..., recipe.shot :], -1, 0):
        rank = integers(word, size - sum(sizes))
        queries.append(skip(rank, starts, sizes))
        starts, sizes = [*starts, queries[-1]], [*sizes, np.ones_like(size)]
    chosen = np.concatenate([support, np.stack(queries, axis=-1)], axis=-1)
    return np.asarray(first[..., None] + chosen, dtype=np.int64)


def _taken_groups(
    split: Split, first: Integers, support: Integers
) -> tuple[list[Integers], list[Integers]]:
    """Return where the group of each support video lies in its class: starts and sizes.

    There are ``shot`` of both, each (episodes, way). Of a group that is taken twice, the second
    size is 0.
    """
    group_start, group_size = split.group_bounds
    starts: list[Integers] = []
    sizes: list[Integers] = []
    for shot in np.moveaxis(support, -1, 0):
        start = group_start[first + shot] - first
        again = np.any([start == earlier for earlier in starts], axis=0) if starts else False
        starts.append(start)
        sizes.append(np.where(again, 0, group_size[first + shot]))
    return starts, sizes


def _check_enough(recipe: Recipe, split: Split) -> None:
    """Refuse a recipe for which a class has too few videos, or the split too few classes."""
    where = f"bank {recipe.name} over {split.dataset}/{split.name}"
    if recipe.way > len(split.classes):
        raise UserError(
            f"{where} asks for {recipe.way} classes in an episode; the split has"
            f" {len(split.classes)}: lower way, or give it more classes"
            " (`fvbench data add --lists`)"
        )
    if recipe.protocol == "partners" and recipe.way // 2 > len(_pair_firsts(split)):
        raise UserError(
            f"{where} asks for {recipe.way // 2} partner pairs in an episode; the split has"
            f" {len(_pair_firsts(split))}: choose another protocol or lower way"
        )
    available = np.diff(split.class_starts)
    if recipe.protocol == "group-disjoint":
        left = available - _largest_groups(split, recipe.shot)
        short = int(left.argmin())
        if left[short] < recipe.queries:
            raise UserError(
                f"{where} asks for {counted(recipe.queries, 'query video')} of a class from other"
                f" recordings than its {counted(recipe.shot, 'support video')}; of the"
                f" {counted(int(available[short]), 'video')} of class {split.classes[short]!r}, as"
                f" few as {max(int(left[short]), 0)} may be left: lower shot or queries, or drop"
                " the class"
            )
    short = int(available.argmin())
    if available[short] < recipe.shot + recipe.queries:
        raise UserError(
            f"{where} asks for {recipe.shot + recipe.queries} videos of a class (shot {recipe.shot}"
            f" + queries {recipe.queries}); class {split.classes[short]!r} has"
            f" {int(available[short])} that the protocol {recipe.protocol} allows: lower shot or"
            " queries, or drop the class"
        )


def _largest_groups(split: Split, shot: int) -> Integers:
    """Return the total size of the ``shot`` largest groups of each class, (classes,)."""
    group_start, group_size = split.group_bounds
    totals = []
    for first, last in zip(split.class_starts, split.class_starts[1:], strict=False):
        _, where = np.unique(group_start[first:last], return_index=True)
        totals.append(np.sort(group_size[first:last][where])[::-1][:shot].sum())
    return np.array(totals, dtype=np.int64)
