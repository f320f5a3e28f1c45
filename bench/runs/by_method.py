"""The runs of a method with its training, over all training seeds: a row of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.runs.run import Run
from bench.runs.schema import HowTrained
from bench.statistics import Trainings
from episodes.errors import UserError

SAME = ("revision", "settings")
"""Fields of identity in which the runs of a method agree, whatever the seed."""
CONTROLS = frozenset({"chance", "single-frame"})
"""Methods that any other must beat. They take part in no family of comparisons."""
DRAWN = "rendered"
"""The data set whose pixels are the same whatever the encoder, and so the hash, of its files."""


@dataclass(frozen=True)
class MethodRuns:
    """The runs of a method on a bank that differ only in the seed of their training."""

    runs: Sequence[Run]
    """Runs in order of seeds; a single one where nothing was trained."""

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
        """How it was trained, without the seed; None if it was not, or if that is unknown."""
        training = self.first.identity.training
        return None if training is None else training.of_any_seed

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the trainings."""
        return tuple(run.seed for run in self.runs if run.seed is not None)

    @property
    def is_control(self) -> bool:
        """Whether it is a control, which any other method must beat."""
        return self.method in CONTROLS

    @property
    def reads_names(self) -> bool:
        """Whether it is given the names of the classes."""
        return self.first.declared.needs_text

    @property
    def trained(self) -> str:
        """Whether and how it was trained, in a word or two, for a column of tables."""
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
        features = self.first.identity.features
        return None if features is None else features.backbone

    @property
    def frames(self) -> str:
        """Which frames it was shown, and how they were resized; empty if a run does not say."""
        features = self.first.identity.features
        chosen = () if features is None else (features.sampling, features.resized)
        return ", ".join(str(one) for one in chosen if one is not None)

    @property
    def traits(self) -> Sequence[tuple[str, str]]:
        """Traits that may distinguish it from other rows of the method, the plainest first.

        Each is a pair: what is compared, and the words for it. Only the words have the number of
        seeds, which distinguishes nothing.
        """
        training = self.training or HowTrained()
        chosen = (training.sampling, training.resize)
        words = [
            str(self.backbone),
            training.recipe,
            training.start or "",
            self.frames,
            ", ".join(str(one) for one in chosen if one is not None),
            f"{'' if training.episodes is None else training.episodes} episodes",
        ]
        return [(self.trained.partition(",")[0], self.trained), *zip(words, words, strict=True)]

    def episode_accuracy(self) -> NDArray[np.float64]:
        """(episodes,) fraction of right answers, over all seeds."""
        return np.asarray(np.mean([run.episode_accuracy() for run in self.runs], axis=0))

    @cached_property
    def trainings(self) -> Trainings | None:
        """Accuracy after each training; None where nothing was trained.

        A method that does not say whether it was trained counts as trained once.
        """
        declared = self.first.declared
        if declared.says_whether_trained and not declared.trained and not self.seeds:
            return None
        return Trainings([float(run.episode_accuracy().mean()) for run in self.runs])


def runs_by_method(runs: Sequence[Run]) -> list[MethodRuns]:
    """Group runs on one bank by method, training and features, whatever their seeds.

    Raises:
        UserError: runs differ in episodes, labels or dtype, or two have the same seed; the message
            says what differs.
    """
    _check_comparable(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        one = MethodRuns([run])
        key = one.method, one.training, run.declared.trained, one.backbone, one.frames
        groups.setdefault(repr(key), []).append(run)
    return [_of_one_method(groups[key]) for key in sorted(groups)]


def titles(methods: Sequence[MethodRuns]) -> list[str]:
    """Name rows: by method, and by the traits that distinguish them where it has several."""
    names = [one.method for one in methods]
    alike = list(names)
    for traits in zip(*(one.traits for one in methods), strict=True):
        words: dict[str, set[str]] = {}
        for group, (compared, _) in zip(alike, traits, strict=True):
            words.setdefault(group, set()).add(compared)
        names = [
            f"{name} ({shown})" if shown and len(words[group]) > 1 else name
            for name, group, (_, shown) in zip(names, alike, traits, strict=True)
        ]
        alike = [f"{group} {word}" for group, (word, _) in zip(alike, traits, strict=True)]
    return names


def _of_one_method(runs: list[Run]) -> MethodRuns:
    """Put the seeds of a training in order; refuse runs that are not seeds of one training."""
    for one, other in combinations(runs, 2):
        name, bank = one.identity.method, one.identity.bank
        if one.seed == other.seed:
            which = "" if one.seed is None else f" with training seed {one.seed}"
            raise UserError(
                f"two runs of {name}{which} on bank {bank}; a table has one row for each method:"
                " name the folders of one run each"
            )
        for field in SAME:
            here, there = getattr(one.identity, field), getattr(other.identity, field)
            if here != there:
                raise UserError(
                    f"training seeds of {name} differ in {field}: {here} and {there}; run all seeds"
                    " anew"
                )
        which = f"training seeds {one.seed} and {other.seed} of {name} on bank {bank}"
        weights = one.identity.weights_sha256
        if weights is not None and weights == other.identity.weights_sha256:
            raise UserError(f"{which} are runs of the same weights; leave one of them out")
        trainings = {one.declared.training_sha256, other.declared.training_sha256} - {None}
        if len(trainings) > 1:
            raise UserError(
                f"{which} are of different trainings: their recipes, of one name, differ, or their"
                " data, or their validation banks, as the cards of the weights say; compare the"
                " seeds of one training, or train with a recipe of another name"
            )
    return MethodRuns(sorted(runs, key=lambda run: run.seed or 0))


def have_the_same_queries(one: Run, other: Run) -> bool:
    """Whether the rows of both have the same queries and labels, and so can be paired.

    Rows of a bank that cannot be drawn here were not checked when they were read.
    """
    return all(
        np.array_equal(one.rows[column], other.rows[column])
        for column in ("episode", "query", "label")
    )


def check_one_backbone(runs: Sequence[Run]) -> None:
    """Refuse runs on different weights of a backbone, which tables know by its name alone.

    Weights that were tuned are part of how a row was trained.

    Raises:
        UserError: naming two runs, and both hashes.
    """
    seen: dict[str, Run] = {}
    for run in runs:
        features, training = run.identity.features, run.identity.training
        is_tuned = training is not None and training.backbone == "tuned"
        if features is None or not features.weights_sha256 or is_tuned:
            continue
        first = seen.setdefault(features.backbone, run)
        there = first.identity.features
        if there is not None and there.weights_sha256 != features.weights_sha256:
            raise UserError(
                f"{first.identity.method} and {run.identity.method} used different weights of the"
                f" backbone {features.backbone}: their sha256 is {there.weights_sha256:.12} and"
                f" {features.weights_sha256:.12}, which no table shows; name runs with one of them"
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
                    " episodes); name runs on one bank with as many episodes"
                    + (", or take `fvbench compare --across`" if field == "bank" else "")
                )
        if not have_the_same_queries(runs[0], run):
            raise UserError(
                f"{first.method} and {run.identity.method} cannot be compared: their rows have"
                f" different queries or labels, though both name bank {first.bank}; run both again"
            )

    check_one_backbone(runs)
    seen: dict[str, Run] = {}
    for run in runs:
        identity, features = run.identity, run.identity.features
        given = repr(features) if features is not None and features.given else ""
        drawn = identity.dataset == DRAWN
        if identity.videos_sha256 is None or (drawn and not given):
            continue
        # On drawn videos, given features are compared with those of the same origin.
        other = seen.setdefault(given if drawn else "", run).identity
        if other.videos_sha256 != identity.videos_sha256:
            raise UserError(
                f"{other.method} and {identity.method} saw different"
                f" {'features' if given else 'files'}: their videos_sha256 is"
                f" {other.videos_sha256!s:.12} and {identity.videos_sha256:.12}; run both on the"
                f" same {'features' if given else 'videos'}"
            )
