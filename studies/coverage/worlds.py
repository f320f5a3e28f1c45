"""Worlds: classes and videos drawn at random, and two methods that answer a bank's queries.

All worlds have the structure of the rendered dataset: similar partner classes, and recordings of
two similar videos. An interval over videos and classes should cover the accuracy over new worlds;
an interval over videos, the accuracy over new videos of the same classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from episodes.banks.recipe import Protocol, Recipe
from episodes.banks.sampler import VERSION, Episodes, draw
from episodes.split import Split, Video

Hits = NDArray[np.bool_]
"""(2 methods or several trainings, episodes, queries) whether answers are right."""
World = Callable[["Place", np.random.Generator, np.random.Generator], Hits]
"""Draws classes with one generator and videos with the other."""
CHUNK = 2000
"""Episodes answered at once."""


@dataclass(frozen=True)
class Place:
    """A bank's episodes in plain indices."""

    episodes: Episodes
    class_of_video: NDArray[np.int64]
    pair_of_class: NDArray[np.int64]
    recording_of_video: NDArray[np.int64]

    @property
    def classes(self) -> NDArray[np.int64]:
        """(episodes, way) the classes of each episode."""
        return np.asarray(self.class_of_video[self.episodes.support[:, :, 0]])


def make_bank(
    sizes: Sequence[int], episodes: int, shot: int = 1, protocol: Protocol = "standard"
) -> tuple[Split, Episodes]:
    """Draw five-way episodes of classes without partners, which have these numbers of videos."""
    listed = tuple(
        Video(f"{index:04d}", f"{number:04d}", f"{number:04d}")
        for index, size in enumerate(sizes)
        for number in range(size)
    )
    split = Split("simulation", "test", listed, {})
    queries = 5 if protocol == "one-class" else 1
    recipe = Recipe(
        name="simulation",
        dataset="simulation",
        split="test",
        protocol=protocol,
        way=5,
        shot=shot,
        queries=queries,
        episodes=episodes,
        seed=0,
        sampler=VERSION,
    )
    return split, draw(recipe, split, episodes)


def place_of(split: Split, episodes: Episodes) -> Place:
    """Find the class and the recording of each video, and the pair of each class."""
    own = np.arange(len(split.classes))
    partner = np.where(split.partner_indices < 0, own, split.partner_indices)
    videos = np.arange(len(split.videos))
    return Place(
        episodes,
        np.searchsorted(split.class_starts, videos, "right") - 1,
        np.unique(np.minimum(own, partner), return_inverse=True)[1],
        np.unique(split.group_bounds[0], return_inverse=True)[1],
    )


@dataclass(frozen=True)
class Logits:
    """The logit of the probability of a right answer is a sum of effects.

    Their sizes: classes 0.7, videos 0.7 as query and as support, each ordered pair of classes 0.4.
    """

    middle: float = 1.35
    of_class: float = 0.7
    of_video: float = 0.7
    of_two_classes: float = 0.4
    shared: float = 0.8
    """Share of each effect's variance that both methods have in common."""
    tails: float = math.inf
    """Degrees of freedom of Student's t, from which effects of classes are drawn."""
    hard: float = 0.0
    """Share of classes that are hard."""
    depth: float = 0.0
    """How much harder these are."""
    gaining: float = 0.0
    """Share of classes in which the first method is better than the second."""
    gain: float = 0.0
    """How much better it is there."""

    def __call__(
        self, place: Place, classes: np.random.Generator, videos: np.random.Generator
    ) -> Hits:
        """Draw a world and answer every query with both methods."""
        chance = _logistic(self.logits(place, classes, videos))
        return np.asarray(videos.random(chance.shape) < chance)

    def logits(
        self, place: Place, classes: np.random.Generator, videos: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw a world: (2, episodes, queries) logits of a right answer, for both methods."""
        number, count = len(place.pair_of_class), len(place.class_of_video)
        pair, recording = place.pair_of_class, place.recording_of_video
        of_class = self.of_class * self._alike(classes, number, pair)
        if math.isfinite(self.tails):
            of_class *= np.sqrt(self.tails / classes.chisquare(self.tails, number))
        of_class -= self.depth * (classes.random(number) < self.hard)
        of_class[0] += self.gain * (classes.random(number) < self.gaining)
        of_two = self.of_two_classes * self._two(classes, (number, number))
        of_query, of_support = (
            self.of_video * self._alike(videos, count, recording) for _ in range(2)
        )
        shown, labels = place.classes, place.episodes.labels.astype(np.int64)
        true = np.take_along_axis(shown, labels, axis=1)
        chosen = labels[:, :, None]
        support = np.take_along_axis(place.episodes.support, chosen, axis=1)
        confused = of_two[:, true[:, :, None], shown[:, None, :]].sum(axis=3)
        confused -= of_two[:, true, true]
        logit = of_class[:, true] + of_query[:, place.episodes.query]
        logit = logit + of_support[:, support].mean(axis=3)
        return np.asarray(self.middle + logit + confused)

    def _two(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normal effects of both methods, partly shared."""
        common = generator.standard_normal(shape)
        own = generator.standard_normal((2, *shape))
        return np.asarray(self.shared**0.5 * common + (1 - self.shared) ** 0.5 * own)

    def _alike(
        self, generator: np.random.Generator, number: int, groups: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Effects of both methods, (2, number): half of their variance by group."""
        by_group = self._two(generator, (int(groups.max()) + 1,))[:, groups]
        return np.asarray((by_group + self._two(generator, (number,))) * 0.5**0.5)


@dataclass(frozen=True)
class Features:
    """Videos are points around their class, and the nearest support video wins.

    Each method sees dimensions of its own and some that both see. So their accuracies differ from
    class to class, and are the same over all possible classes.
    """

    noise: float = 1.0
    """Distance of videos from the centre of their class."""
    dimensions: int = 12
    """Number that each method sees; both see half of them."""

    def __call__(
        self, place: Place, classes: np.random.Generator, videos: np.random.Generator
    ) -> Hits:
        """Draw a world and answer every query with both methods."""
        total = self.dimensions * 3 // 2
        points = _points(place, self.noise, total, classes, videos)
        halves = points[:, : self.dimensions], points[:, -self.dimensions :]
        return np.stack([_nearest(place, seen) for seen in halves])


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))


@dataclass(frozen=True)
class Retrained:
    """Two equally good, nearly identical methods, whose trainings vary by luck."""

    trainings: int
    luck: float = 0.02
    """Standard deviation between trainings, on the scale of the logit: 0.4 points at 72%."""
    base: Logits = Logits(shared=0.998)

    def __call__(
        self, place: Place, classes: np.random.Generator, videos: np.random.Generator
    ) -> Hits:
        """Answer every query, (2 methods x trainings, episodes, queries)."""
        logits = self.base.logits(place, classes, videos)
        luck = self.luck * videos.standard_normal((2, self.trainings))
        chance = _logistic(logits[:, None] + luck[:, :, None, None])
        # Trainings of one method answer most queries alike: one draw decides for all of them.
        hits = videos.random(logits.shape[1:]) < chance
        return np.asarray(hits).reshape(-1, *logits.shape[1:])


@dataclass(frozen=True)
class Trained:
    """One method after several trainings, each of which sees other dimensions of `Features`."""

    trainings: int = 3
    noise: float = 1.0
    dimensions: int = 8
    """Number that a training sees."""
    total: int = 12

    def __call__(
        self, place: Place, classes: np.random.Generator, videos: np.random.Generator
    ) -> Hits:
        """Draw a world, train in it, and answer every query after each training."""
        points = _points(place, self.noise, self.total, classes, videos)
        seen = [
            videos.choice(self.total, self.dimensions, replace=False) for _ in range(self.trainings)
        ]
        return np.stack([_nearest(place, points[:, one]) for one in seen])


def _points(
    place: Place,
    noise: float,
    dimensions: int,
    classes: np.random.Generator,
    videos: np.random.Generator,
) -> NDArray[np.float32]:
    """(videos, dimensions) the position of each video."""
    middle = _alike(classes, len(place.pair_of_class), place.pair_of_class, dimensions)
    spread = noise * np.exp(0.3 * classes.standard_normal(len(place.pair_of_class)))
    own = place.class_of_video
    around = _alike(videos, len(own), place.recording_of_video, dimensions)
    return np.asarray(middle[own] + spread[own][:, None] * around, dtype=np.float32)


def _alike(
    generator: np.random.Generator, number: int, groups: NDArray[np.int64], dimensions: int
) -> NDArray[np.float64]:
    """Standard normal points of which half the variance is the group's."""
    by_group = generator.standard_normal((int(groups.max()) + 1, dimensions))[groups]
    return np.asarray((by_group + generator.standard_normal((number, dimensions))) * 0.5**0.5)


def _nearest(place: Place, points: NDArray[np.float32]) -> Hits:
    """(episodes, queries) whether the nearest support video is of the query's class."""
    length = np.square(points).sum(axis=1)
    right = []
    for first in range(0, len(place.episodes), CHUNK):
        window = slice(first, first + CHUNK)
        support = place.episodes.support[window, :, 0]
        near = points[place.episodes.query[window]] @ points[support].swapaxes(1, 2)
        answer = (2 * near - length[support][:, None, :]).argmax(axis=2)
        right.append(answer == place.episodes.labels[window])
    return np.concatenate(right)
