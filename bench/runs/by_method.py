"""What is compared: a method with its training, over all training seeds that were run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.runs.directory import Run
from bench.runs.schema import HowTrained
from bench.statistics import Trainings
from episodes.errors import UserError

SAME = ("revision", "settings")
"""What runs of one method agree in, whatever the seed."""
CONTROLS = frozenset({"chance", "single-frame"})
"""Methods that show what a score must beat. They take part in no family of comparisons."""
DRAWN = "rendered"
"""The data set whose pixels are the same in files of any encoder, and so of any hash."""


@dataclass(frozen=True)
class MethodRuns:
    """The runs of one method on one bank that differ in the seed of their training alone."""

    runs: Sequence[Run]
    """By seed; a single one where nothing was trained."""

    @property
    def first(self) -> Run:
        """The run whose declarations and costs stand for all."""
        return self.runs[0]

    @property
    def method(self) -> str:
        """The method's name."""
        return self.first.identity.method

    @property
    def training(self) -> HowTrained | None:
        """How it was trained, whatever the seed; None if it was not, or nobody knows."""
        return _training(self.first)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the trainings."""
        return tuple(seed for run in self.runs if (seed := _seed(run)) is not None)

    @property
    def is_control(self) -> bool:
        """Whether it is a control, which a method must beat."""
        return self.method in CONTROLS

    @property
    def reads_names(self) -> bool:
        """Whether it is given what the classes are called."""
        return self.first.declared.needs_text

    @property
    def trained(self) -> str:
        """Whether and how it was trained, in a word or two: a column of tables."""
        if not self.first.declared.says_whether_trained:
            return "not said"
        whether = self.first.declared.trained
        if whether is None:
            return "–"
        if not whether:
            return "untrained"
        if self.training is None:
            return "yes"
        seeds = f", {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        return f"{self.training.backbone or 'yes'}{seeds}"

    @property
    def backbone(self) -> str | None:
        """Name of the backbone; None where a run does not say."""
        return _backbone(self.first)

    @property
    def frames(self) -> str:
        """Which frames it was shown, and how they were resized; empty if a run does not say."""
        return _frames(self.first)

    @property
    def traits(self) -> Sequence[tuple[str, str]]:
        """What may tell it from other rows of the same method, the plainest first.

        Each as what is compared and what is said: a number of seeds tells nothing apart.
        """
        training = self.training or HowTrained()
        chosen = [one for one in (training.sampling, training.resize) if one is not None]
        words = [
            str(self.backbone),
            training.recipe,
            training.start or "",
            self.frames,
            ", ".join(map(str, chosen)),
            f"{'' if training.episodes is None else training.episodes} episodes",
        ]
        trained = self.trained.partition(",")[0], self.trained
        return [trained, *((word, word) for word in words)]

    def episode_accuracy(self) -> NDArray[np.float64]:
        """(episodes,) fraction of right answers, over all seeds."""
        return np.asarray(np.mean([run.episode_accuracy() for run in self.runs], axis=0))

    @property
    def trainings(self) -> Trainings | None:
        """Accuracy after each training; None where nothing was trained.

        Where that is not stated, it may have been trained: once.
        """
        declared = self.first.declared
        if declared.says_whether_trained and not declared.trained and not self.seeds:
            return None
        return Trainings([float(run.episode_accuracy().mean()) for run in self.runs])


def runs_by_method(runs: Sequence[Run]) -> list[MethodRuns]:
    """Put runs on one bank together by method, training and features; seeds stand together.

    Raises:
        UserError: runs are of other episodes, labels or dtypes, or two are of the same seed; the
            message says what differs.
    """
    _check_comparable(runs)
    found: dict[str, list[Run]] = {}
    for run in runs:
        shown = _backbone(run), _frames(run)
        key = repr((run.identity.method, _training(run), run.declared.trained, *shown))
        found.setdefault(key, []).append(run)
    return [_of_one_method(found[key]) for key in sorted(found)]


def titles(found: Sequence[MethodRuns]) -> list[str]:
    """Name methods: by method, and by what tells its rows apart where the method has several."""
    names = [one.method for one in found]
    alike = list(names)
    for traits in zip(*(one.traits for one in found), strict=True):
        words: dict[str, set[str]] = {}
        for group, (compared, _) in zip(alike, traits, strict=True):
            words.setdefault(group, set()).add(compared)
        names = [
            f"{name} ({said})" if said and len(words[group]) > 1 else name
            for name, group, (_, said) in zip(names, alike, traits, strict=True)
        ]
        alike = [f"{group} {word}" for group, (word, _) in zip(alike, traits, strict=True)]
    return names


def _of_one_method(runs: list[Run]) -> MethodRuns:
    first = runs[0].identity
    name = first.method
    seeds = [_seed(run) for run in runs]
    if len(set(seeds)) < len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        which = "" if twice is None else f" with training seed {twice}"
        raise UserError(
            f"two runs of {name}{which} on bank {first.bank}; a table has one row for each"
            " method: name the folders of one run each"
        )
    for run in runs[1:]:
        for field in SAME:
            one, other = getattr(first, field), getattr(run.identity, field)
            if one != other:
                raise UserError(
                    f"training seeds of {name} differ in {field}: {one} and {other}; run all seeds"
                    " anew"
                )
    return MethodRuns(sorted(runs, key=lambda run: _seed(run) or 0))


def have_the_same_queries(one: Run, other: Run) -> bool:
    """Whether row by row both answer the same query with the same label, and so can be paired.

    A bank that cannot be drawn here has not been held against the rows when they were read.
    """
    return all(
        np.array_equal(one.rows[column], other.rows[column])
        for column in ("episode", "query", "label")
    )


def _check_comparable(runs: Sequence[Run]) -> None:
    first = runs[0].identity
    for run in runs[1:]:
        for field in ("bank", "bank_sha256", "dtype"):
            one, other = getattr(first, field), getattr(run.identity, field)
            if one != other:
                raise UserError(
                    f"{first.method} and {run.identity.method} cannot be compared: {field} is"
                    f" {one} and {other} ({first.episodes:,} and {run.identity.episodes:,}"
                    " episodes); run both on one bank with as many episodes"
                )
        if not have_the_same_queries(runs[0], run):
            raise UserError(
                f"{first.method} and {run.identity.method} cannot be compared: their rows have"
                f" other queries or labels, though both name bank {first.bank}; run both again"
            )

    hashes = {run.identity.videos_sha256: run for run in runs if run.identity.videos_sha256}
    if len(hashes) > 1 and first.dataset != DRAWN:
        (one, run), (other, another), *_ = hashes.items()
        raise UserError(
            f"{run.identity.method} and {another.identity.method} saw other files: their"
            f" videos_sha256 is {one!s:.12} and {other!s:.12}; run both on the same videos"
        )


def _training(run: Run) -> HowTrained | None:
    training = run.identity.training
    return None if training is None else training.of_any_seed


def _seed(run: Run) -> int | None:
    training = run.identity.training
    return None if training is None else training.seed


def _backbone(run: Run) -> str | None:
    features = run.identity.features
    return None if features is None else features.backbone


def _frames(run: Run) -> str:
    features = run.identity.features
    if features is None:
        return ""
    said = (features.sampling, features.resized)
    return ", ".join(str(word) for word in said if word is not None)
