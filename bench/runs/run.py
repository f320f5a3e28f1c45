"""One run in memory: what a method answered on a bank, and what identifies it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.runs.schema import Circumstances, Cost, Declared, Identity
from episodes.banks.sampler import Episodes

ROW_TYPES = {
    "episode": "int32",
    "query": "int16",
    "label": "int16",
    "prediction": "int16",
    "margin": "float32",
}


@dataclass(frozen=True)
class Answers:
    """What a method answered, query by query, and what it cost."""

    prediction: NDArray[np.int16]
    """(episodes, queries) in 0..way-1."""
    margin: NDArray[np.float32]
    """(episodes, queries) best score minus second best."""
    encode_seconds: float
    score_seconds: float
    """Time to gather, adapt and score all episodes, after an untimed warm-up."""
    peak_memory_bytes: int


@dataclass(frozen=True)
class Run:
    """One method's run on one bank."""

    identity: Identity
    declared: Declared
    cost: Cost
    circumstances: Circumstances
    rows: pd.DataFrame
    """Columns of `ROW_TYPES`, sorted by episode and query; margins that were not kept are NaN."""

    @property
    def seed(self) -> int | None:
        """Seed of its training; None where nothing was trained, or where that is not known."""
        training = self.identity.training
        return None if training is None else training.seed

    def episode_accuracy(self) -> NDArray[np.float64]:
        """Fraction of right answers in each episode, in episode order."""
        correct = (self.rows["label"] == self.rows["prediction"]).to_numpy(np.float64)
        return np.asarray(correct.reshape(-1, self.queries_per_episode).mean(axis=1))

    @cached_property
    def queries_per_episode(self) -> int:
        """Queries in each episode."""
        return int(self.rows["query"].max()) + 1


def make_rows(
    episodes: Episodes, answers: Answers, numbers: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Put answers beside the labels: one row for each query.

    Args:
        episodes: of the bank.
        answers: to all of their queries.
        numbers: (episodes,) of the episodes in the bank, where some were left out.
    """
    count, queries = episodes.labels.shape
    columns = {
        "episode": np.repeat(np.arange(count) if numbers is None else numbers, queries),
        "query": np.tile(np.arange(queries), count),
        "label": episodes.labels.ravel(),
        "prediction": answers.prediction.ravel(),
        "margin": answers.margin.ravel(),
    }
    return pd.DataFrame(columns).astype(ROW_TYPES)
