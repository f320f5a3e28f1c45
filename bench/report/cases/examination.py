"""One case, computed again: angles between query and prototypes, and MASTAF's attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.features.clips import read_clip
from bench.features.embedding import embedded_together
from bench.machine.progress import Reporter
from bench.report.cases.outcomes import Outcomes, Query
from bench.report.cases.rebuilding import CPU, RebuiltModel, rebuilt
from bench.runs.run import Run
from episodes.decoding.clips import Clip
from episodes.decoding.sampling import one_clip
from episodes.draws import Integers
from episodes.errors import UserError
from episodes.split import VideoFile
from methods.mastaf import Mastaf

UNDECIDED = 1e-3
"""Margin below which rounding may change a prediction, so that a difference is no error."""

Degrees = NDArray[np.float64]


class Attention(NamedTuple):
    """The factors by which MASTAF multiplies positions, as maps."""

    query_self: NDArray[np.float32]
    """(T, H, W)"""
    query_cross: NDArray[np.float32]
    """(way, T, H, W): the query's positions, given each class."""
    support_self: NDArray[np.float32]
    """(way, T, H, W)"""
    support_cross: NDArray[np.float32]
    """(way, T, H, W): each class's positions, given the query."""


@dataclass(frozen=True)
class Case:
    """A query and its episode as all models see them, classes in the episode's order."""

    bank: str
    query: Query
    shot: int
    classes: Sequence[str]
    label: int
    """Index of the query's class."""
    angles: Mapping[str, Degrees]
    """Model -> (way,) degrees between the query and each prototype, 0 to 180."""
    trained: bool
    query_clip: Clip
    """uint8 (frames, height, width, 3): the frames that the backbone sees, before cropping."""
    support_clips: Sequence[Clip]
    """The first support video of each class."""
    attention: Attention

    def right(self, model: str) -> bool:
        """Whether a model finds the query's own class nearest."""
        return int(self.angles[model].argmin()) == self.label

    @property
    def rival(self) -> int:
        """The wrong class that MASTAF finds nearest to the query."""
        angles = self.angles["mastaf"].copy()
        angles[self.label] = np.inf
        return int(angles.argmin())


class Examiner:
    """Applies the four models, rebuilt from their runs, to single queries."""

    def __init__(self, outcomes: Outcomes, reporter: Reporter) -> None:
        """Rebuild the models.

        Raises:
            UserError: bank, features or weights are not what the runs had.
        """
        if outcomes.bank is None:
            raise UserError(f"the bank of these runs cannot be drawn here: {outcomes.problem}")
        self._bank, self._runs, self._reporter = outcomes.bank, outcomes.runs, reporter
        self._models = {name: rebuilt(run) for name, run in self._runs.items()}

    @torch.no_grad()
    def examine(self, query: Query) -> Case:
        """Compute everything that is drawn of a query.

        Raises:
            UserError: a model's answer differs from its run's, or a video is missing.
        """
        bank, episodes = self._bank, self._bank.episodes
        place = int(np.searchsorted(bank.numbers, query.episode)), query.query
        support = episodes.support[place[0]]
        videos = [bank.split.videos[index] for index in (*support.ravel(), episodes.query[place])]
        with self._reporter.stage(f"prepare {bank.source.name} videos") as progress:
            files = bank.source.files(bank.recipe.split, videos, progress)
        encoded = {name: self._encoded(one, files, support) for name, one in self._models.items()}
        angles = {name: _angles(self._models[name].method, *one) for name, one in encoded.items()}
        for name, own in angles.items():
            _check_answer(self._runs[name], query, place[0], int(own.argmin()))
        backbone = self._models["mastaf"].backbone
        sampling, frames = one_clip(backbone.sampling_for(Mastaf)), backbone.backbone.input.frames
        clips = [
            read_clip(file, frames, sampling, backbone.decoder)
            for file in (*files[: -1 : support.shape[1]], files[-1])
        ]
        return Case(
            bank=bank.recipe.name,
            query=query,
            shot=support.shape[1],
            classes=[bank.split.videos[index].label for index in support[:, 0]],
            label=int(episodes.labels[place]),
            angles=angles,
            trained=bool(self._runs["mastaf"].declared.trained),
            query_clip=clips[-1],
            support_clips=clips[:-1],
            attention=_attention(self._models["mastaf"].method, *encoded["mastaf"]),
        )

    def _encoded(
        self, model: RebuiltModel, files: Sequence[VideoFile], support: Integers
    ) -> tuple[Tensor, Tensor]:
        """Encode videos, the query last: prototypes (1, way, L, C) and query (1, 1, L, C).

        Features are read from the store, or embedded now.
        """
        sampling = model.backbone.sampling_for(Mastaf)
        with self._reporter.stage(f"embed {sampling}") as progress:
            (store,) = embedded_together([(model.backbone, sampling)], files, CPU, progress)
        features = torch.from_numpy(store.read(model.backbone.keys(files)))
        maps = model.method.encode(features)
        prototypes = model.method.adapt(maps[:-1].reshape(1, *support.shape, *maps.shape[1:]))
        return prototypes, maps[None, -1:]


def _check_answer(run: Run, query: Query, place: int, now: int) -> None:
    """Refuse an answer that differs from the run's, unless it was a near tie.

    ``place`` is the index of the query's episode among those of the run.
    """
    row = run.rows.iloc[place * run.queries_per_episode + query.query]
    near_tie = row["margin"] <= UNDECIDED  # False where margins are not kept
    if now != row["prediction"] and not near_tie:
        raise UserError(
            f"episode {query.episode}, query {query.query}: {run.identity.method} answered"
            f" {row['prediction']:.0f} in its run and answers {now} now; its code has changed"
            " since: run it again"
        )


def _angles(model: Mastaf, prototypes: Tensor, query: Tensor) -> Degrees:
    """Degrees between the query and each prototype, (way,).

    MASTAF's score is a weighted sum of the cosines of its branches. Divided by the sum of the
    weights, it is the cosine of the branches' concatenated unit vectors.
    """
    weight = sum(branch.weight for branch in model.compare(prototypes, query))
    cosines = model.score(prototypes, query)[0, 0].double() / (model.settings.scale * weight)
    degrees: Degrees = cosines.clamp(-1, 1).arccos().rad2deg().numpy()
    return degrees


def _attention(model: Mastaf, prototypes: Tensor, query: Tensor) -> Attention:
    """Attention of both branches to the query and to the prototypes, (..., L) -> (..., T, H, W)."""
    cross, own = model.compare(prototypes, query)

    def maps(factors: Tensor) -> NDArray[np.float32]:
        return np.asarray(factors.reshape(*factors.shape[:-1], *model.grid))

    return Attention(
        query_self=maps(own.of_query[0, 0, 0]),
        query_cross=maps(cross.of_query[0, 0]),
        support_self=maps(own.of_class[0, :, 0]),
        support_cross=maps(cross.of_class[0, :, 0]),
    )
