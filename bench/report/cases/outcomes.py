"""How often MASTAF and its branches are right and wrong together, from rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.runs.checking import rebuilt
from bench.runs.run import Run
from bench.statistics import LEVEL, design_of, measure
from episodes.banks.bank import Bank
from episodes.errors import UserError

KINDS: Mapping[str, str] = {
    "self-right-cross-wrong": "Only-Self right, Only-Cross wrong, MASTAF right",
    "cross-right-self-wrong": "Only-Cross right, Only-Self wrong, MASTAF right",
    "fusion-only-right": "Only-Self and Only-Cross wrong, MASTAF right",
    "fusion-wrong": "MASTAF wrong, Only-Self or Only-Cross right",
}
"""Kind of case -> what it means."""
MODELS: dict[str, str] = {
    "mastaf-neighbor": "Neighbor",
    "mastaf-self": "Only-Self",
    "mastaf-cross": "Only-Cross",
    "mastaf": "MASTAF",
}
"""Methods that a case shows -> their names in the paper, the simplest first."""
BRANCHES = ("mastaf-self", "mastaf-cross", "mastaf")
"""Both branches, and their fusion."""
COMBINATIONS = tuple(product((True, False), repeat=len(BRANCHES)))
"""Whether each of these is right: all possible outcomes."""

Mask = NDArray[np.bool_]


class Query(NamedTuple):
    """One query: the number of its episode in the bank, and its place in the episode."""

    episode: int
    query: int


@dataclass(frozen=True)
class Share:
    """The number of queries of a kind, and their share of all."""

    what: str
    queries: int
    share: float
    """Fraction of all queries."""
    interval: tuple[float, float]
    """95%, over episodes: other draws of the same videos."""
    new_classes: tuple[float, float] | None
    """95%, over videos and classes; None where the bank is not known or the share is 0 or 1."""

    def cells(self) -> dict[str, str]:
        """Return the figures as a table shows them."""
        ends = (
            "–" if one is None else " to ".join(f"{100 * end:.2f}" for end in one)
            for one in (self.interval, self.new_classes)
        )
        counts = (f"{self.queries:,}", f"{100 * self.share:.2f}")
        columns = ("queries", "% of\nall", "95% over\nepisodes", "over videos\nand classes")
        return dict(zip(columns, (*counts, *ends), strict=True))


class Outcomes:
    """Which of the four models are right on each query.

    Only-Self and Only-Cross are models of their own, as in the paper's ablation, not the two
    branches inside one MASTAF.
    """

    def __init__(self, runs: Sequence[Run], banks: Sequence[Bank] = ()) -> None:
        """Select the runs of the four models.

        Args:
            runs: one of each model, and any others.
            banks: banks that may not be known by name; their bank may be among them.

        Raises:
            UserError: a model has no run or several, or they are on several banks.
        """
        self.runs = _the_four(runs)
        self._right = {name: _right(run) for name, run in self.runs.items()}
        self.numbers = self.runs["mastaf"].rows["episode"].unique()
        self.bank, self.problem = rebuilt(self.runs["mastaf"], banks)
        """The bank of all four, or why it cannot be drawn here."""
        bank = self.bank
        self._design = None if bank is None else design_of(bank.split, bank.episodes)

    @property
    def size(self) -> Query:
        """The number of episodes, and of queries in each."""
        return Query(*self._right["mastaf"].shape)

    @cached_property
    def _masks(self) -> dict[str, Mask]:
        """Each of `KINDS` -> which queries are of it, (episodes, queries)."""
        own, cross, fusion = (self._right[name] for name in BRANCHES)
        return {
            "self-right-cross-wrong": own & ~cross & fusion,
            "cross-right-self-wrong": cross & ~own & fusion,
            "fusion-only-right": ~own & ~cross & fusion,
            "fusion-wrong": (own | cross) & ~fusion,
        }

    def find(self, kind: str) -> list[Query]:
        """Return all queries of one of `KINDS`, the clearest first.

        A query is as clear as the smallest of its models' margins, each divided by the model's mean
        margin, since a sum of two cosines is larger than one.

        Raises:
            UserError: a run keeps no margins.
        """
        without = [name for name, run in self.runs.items() if run.rows["margin"].isna().any()]
        if without:
            raise UserError(
                f"the rows of {', '.join(without)} have no margins, by which the clearest case is"
                " chosen; run them again, or name episodes with `fvbench cases --episodes`"
            )
        margins = [run.rows["margin"].to_numpy(np.float64) for run in self.runs.values()]
        relative = [one / max(one.mean(), np.finfo(np.float64).tiny) for one in margins]
        clarity = np.min(relative, axis=0).reshape(self.size)
        queries = np.argwhere(self._masks[kind])
        order = np.argsort(-clarity[tuple(queries.T)], kind="stable")
        return [Query(int(self.numbers[place]), int(query)) for place, query in queries[order]]

    def disagreement(self, episode: int) -> Query:
        """Return an episode's first query on which the models disagree, or its first query."""
        place = int(np.searchsorted(self.numbers, episode))
        right = np.stack([right[place] for right in self._right.values()])
        return Query(episode, int(np.argmax(right.any(axis=0) & ~right.all(axis=0))))

    def kinds(self) -> list[Share]:
        """Count every kind of case."""
        return [self._share(kind, mask) for kind, mask in self._masks.items()]

    def combinations(self) -> list[Share]:
        """Count how often each of `COMBINATIONS` occurs."""
        shares = []
        for wanted in COMBINATIONS:
            outcome = dict(zip(BRANCHES, wanted, strict=True))
            agree = [self._right[name] == right for name, right in outcome.items()]
            what = ", ".join(f"{MODELS[name]} {verdict(right)}" for name, right in outcome.items())
            shares.append(self._share(what, np.logical_and.reduce(agree)))
        return shares

    def combination_lines(self) -> list[dict[str, str]]:
        """Return a line of a table for each of `COMBINATIONS`, title -> cell."""
        models = [MODELS[name].replace("-", "-\n") for name in BRANCHES]
        return [
            dict(zip(models, map(verdict, wanted), strict=True)) | share.cells()
            for wanted, share in zip(COMBINATIONS, self.combinations(), strict=True)
        ]

    def content(self) -> dict[str, Any]:
        """Return all counts as plain values."""
        identity = self.runs["mastaf"].identity
        return {
            "bank": identity.bank,
            "bank_sha256": identity.bank_sha256,
            "episodes": self.size.episode,
            "queries": int(self._right["mastaf"].size),
            "interval_over": "episodes",
            "kinds": [asdict(share) for share in self.kinds()],
            "combinations": [asdict(share) for share in self.combinations()],
        }

    def _share(self, what: str, mask: Mask) -> Share:
        values = mask.mean(axis=1, dtype=np.float64)[:, None]
        estimate = measure(values, self._design).estimate("videos and classes", 0, None)
        if estimate is not None and not 0 < estimate.mean < 1:
            estimate = None
        return Share(
            what,
            int(mask.sum()),
            float(mask.mean()),
            share_interval(mask),
            None if estimate is None else estimate.interval_of_fraction(),
        )


def verdict(right: bool) -> str:
    """Return the word for an answer that is right or not."""
    return "right" if right else "wrong"


def _the_four(runs: Sequence[Run]) -> dict[str, Run]:
    chosen: dict[str, Run] = {}
    for name in MODELS:
        own = [run for run in runs if run.identity.method == name]
        if not own:
            raise UserError(
                f"no run of {name} among the runs; cases compare {', '.join(MODELS)}: make them"
                f" with `fvbench run --methods {','.join(MODELS)}`"
            )
        if len(own) > 1:
            raise UserError(
                f"{len(own)} runs of {name}; cases look at one bank and one training: name the"
                " folder that holds one run of each"
            )
        chosen[name] = own[0]
    banks = {run.identity.bank_sha256 for run in chosen.values()}
    if len(banks) > 1:
        raise UserError(
            f"the runs of {', '.join(MODELS)} are on {len(banks)} different banks; cases look at"
            " the same queries with all of them: name the folder of one bank"
        )
    return chosen


def _right(run: Run) -> Mask:
    right = (run.rows["label"] == run.rows["prediction"]).to_numpy()
    return np.asarray(right.reshape(-1, run.queries_per_episode))


def share_interval(mask: Mask) -> tuple[float, float]:
    """Return an interval over episodes for the share of queries that a mask selects.

    Wilson's score interval for the effective number of queries, since those of one episode share
    their support videos. Unlike a mean plus or minus a half-width, it stays between 0 and 1, and
    does not shrink to 0 where no query is selected.

    Args:
        mask: (episodes, queries).

    Source: Wilson, JASA 1927; Kish, Survey Sampling, 1965, section 8.2 (effective sample size).

    >>> low, high = share_interval(np.zeros((1000, 5), dtype=bool))
    >>> f"{low:.4f} to {high:.4f}"
    '0.0000 to 0.0008'
    """
    share, count = float(mask.mean()), mask.size
    alone = share * (1 - share) / mask.shape[1]
    clustered = float(mask.mean(axis=1).var(ddof=1)) if len(mask) > 1 else alone
    effective = count / max(1.0, clustered / alone if alone else 1.0)
    ratio = float(ndtri(0.5 + LEVEL / 2)) ** 2 / effective
    centre = (share + ratio / 2) / (1 + ratio)
    half = (ratio * (share * (1 - share) + ratio / 4)) ** 0.5 / (1 + ratio)
    return max(0.0, centre - half), min(1.0, centre + half)
