"""How often intervals contain the truth, over many simulated worlds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.units import Design, design_of
from bench.statistics.variation import Trainings
from episodes.banks.bank import Bank
from studies.coverage.candidates import Candidate, Sample
from studies.coverage.worlds import Place, Trained, World, place_of


@dataclass(frozen=True)
class Coverage:
    """The coverage of one kind of interval."""

    covered: float
    """Fraction of intervals that contain the truth."""
    half_width: float
    """Mean over worlds."""
    error: float
    """True standard error of the mean that the interval is for."""
    mean: float
    """Over worlds."""


@dataclass(frozen=True)
class Study:
    """A bank on which worlds are tried."""

    place: Place
    design: Design
    world: World
    seed: int = 0

    def hits(self, number: int, classes: int) -> NDArray[np.float64]:
        """Answer the bank in one world, (methods or trainings, episodes, queries)."""
        of_classes = np.random.default_rng([self.seed, 1, classes])
        of_videos = np.random.default_rng([self.seed, 2, number])
        return self.world(self.place, of_classes, of_videos).astype(np.float64)

    def sample(self, number: int, classes: int, difference: bool) -> Sample:
        """Answer the bank in one world.

        Args:
            number: of the world; worlds with other numbers have other videos.
            classes: of the draw of classes; worlds with the same number have the same classes.
            difference: between the two methods, rather than the first one's accuracy.
        """
        hits = self.hits(number, classes)
        by_query = hits[0] - hits[1] if difference else hits[0]
        trainings = None
        if isinstance(self.world, Trained):
            by_query = hits.mean(axis=0)
            trainings = Trainings([float(one.mean()) for one in hits])
        return Sample(
            values=by_query.mean(axis=1),
            by_query=by_query,
            hits=hits,
            place=self.place,
            design=self.design,
            generator=np.random.default_rng([self.seed, 3, number]),
            is_fraction=not difference,
            trainings=trainings,
        )


def study_of(bank: Bank, world: World, seed: int = 0) -> Study:
    """Prepare a study on a bank's episodes."""
    return Study(
        place_of(bank.split, bank.episodes), design_of(bank.split, bank.episodes), world, seed
    )


def over_worlds(
    study: Study,
    candidates: Mapping[str, Candidate],
    worlds: int,
    difference: bool = False,
) -> dict[str, Coverage]:
    """Coverage of the accuracy, or the difference, over all classes that there could be.

    The truth is the mean over all worlds, which every world's mean estimates without bias.
    """
    samples = (study.sample(number, number, difference) for number in range(worlds))
    return _covered(samples, candidates, np.zeros(worlds, dtype=np.int64))


def over_videos(
    study: Study,
    candidates: Mapping[str, Candidate],
    classes: int,
    videos: int,
    difference: bool = False,
) -> dict[str, Coverage]:
    """Coverage of the accuracy on other videos of the same classes.

    Args:
        study: the bank and the world.
        candidates: the intervals.
        classes: number of draws of classes.
        videos: number of draws of videos for each.
        difference: between the two methods.
    """
    numbers = range(classes * videos)
    samples = (study.sample(number, number // videos, difference) for number in numbers)
    return _covered(samples, candidates, np.array(numbers) // videos)


def _covered(
    samples: Iterable[Sample], candidates: Mapping[str, Candidate], groups: NDArray[np.int64]
) -> dict[str, Coverage]:
    """Coverage of the truth of each group of worlds: the mean of its means.

    A mean of n worlds is pulled towards each of them: deviations from it are too small by the root
    of (n - 1) / n, and are enlarged accordingly.
    """
    means, intervals = [], []
    for sample in samples:
        means.append(float(sample.values.mean()))
        intervals.append([candidate(sample) for candidate in candidates.values()])
    sizes = np.bincount(groups)
    truth = (np.bincount(groups, weights=means) / sizes)[groups]
    apart = (truth - means) * np.sqrt(sizes / (sizes - 1))[groups]
    ends = np.array(intervals) - np.array(means)[:, None, None]
    inside = (ends[..., 0] <= apart[:, None]) & (apart[:, None] <= ends[..., 1])
    half_widths = (ends[..., 1] - ends[..., 0]).mean(axis=0) / 2
    error = float(np.sqrt(np.square(apart).mean()))
    return {
        name: Coverage(float(covered), float(half), error, float(np.mean(means)))
        for name, covered, half in zip(candidates, inside.mean(axis=0), half_widths, strict=True)
    }
