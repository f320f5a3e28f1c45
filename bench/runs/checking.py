"""Whether rows answer the bank that their run names, which is checked whenever they are read."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from bench.runs.run import Run
from episodes.banks.bank import Bank, open_bank
from episodes.banks.own_videos import bank_of_own_recipe
from episodes.banks.recipe import Recipe
from episodes.errors import UserError

MOST_EPISODES = 1_000_000
"""Episodes from this number on are not compared with a bank, which would take long to draw."""
DIFFERS = "has different episodes here"
"""What `rebuilt` says of a bank that is here and is not that of the run."""
TOTAL = re.compile(r" of ([0-9][0-9,]{0,14}) episodes\)$")
"""In a bank's title: the number of its episodes before some were left out."""


def rebuilt(run: Run, banks: Sequence[Bank] = ()) -> tuple[Bank | None, str]:
    """Rebuild the bank of a run, unless it is among ``banks``, or say why that cannot be done."""
    identity = run.identity
    try:
        bank = next((one for one in banks if one.sha256 == identity.bank_sha256), None)
        bank = bank or _opened(*_stated(run))
    except UserError as error:
        return None, f"videos and classes unknown, so that nothing is decided: {error}"
    if total := TOTAL.search(identity.bank):  # rows do not show how many were left out at the end
        left_out = int(total[1].replace(",", "")) - len(bank.episodes)
        bank = replace(bank, left_out=max(bank.left_out, left_out))
    return bank, ""


def _stated(run: Run) -> tuple[str, str, Recipe | None, str | None, bytes]:
    """What a run says of its bank, without the number of episodes that the title may add."""
    name = run.identity.bank.partition(" (")[0]
    numbers = run.rows["episode"].unique().tobytes()
    return name, run.identity.bank_sha256, run.declared.recipe, run.declared.root, numbers


def _opened(
    name: str, sha256: str, recipe: Recipe | None, root: str | None, numbers: bytes
) -> Bank:
    """Draw the episodes of a bank by its name, or by the recipe of the user's own.

    Raises:
        UserError: they cannot be drawn here, or are others.
    """
    kept = np.frombuffer(numbers, np.int32).astype(np.int64)
    count = int(kept.max()) + 1
    if recipe is None:
        bank = open_bank(name, count, without_list=True).only(kept)
    else:
        bank = bank_of_own_recipe(recipe, root, count).only(kept)
    if bank.sha256 != sha256:
        raise UserError(f"bank {name} {DIFFERS}")
    return bank


_cached = lru_cache(64)(_opened)
"""The same, for the labels alone, which the hash covers: videos may move while a program runs."""


def check_rows(run: Run, bank: Bank | None = None) -> None:
    """Refuse rows that do not answer every query once, with a class of its episode.

    Labels must be those of the bank, if it is given or can be drawn here.

    Raises:
        ValueError: naming the first row that is wrong.
    """
    rows, identity = run.rows, run.identity
    numbers = rows["episode"].unique()
    if bank is None and numbers.min() >= 0 and numbers.max() < MOST_EPISODES:
        try:
            bank = _cached(*_stated(run))
        except UserError:
            bank = None  # its data set is not here, or its recipe has changed since
    queries = run.queries_per_episode if bank is None else bank.episodes.labels.shape[1]
    kept = np.sort(numbers) if bank is None else bank.numbers
    if len(rows) != (count := len(kept) * queries):
        raise ValueError(f"it has {len(rows):,} rows, its episodes {count:,} queries")
    expected = {
        "episode": np.repeat(kept, queries),
        "query": np.tile(np.arange(queries), len(kept)),
    }
    if bank is not None:
        expected["label"] = bank.episodes.labels.ravel()
    whose = "its episodes have" if bank is None else "the bank has"
    for column, values in expected.items():
        wrong = np.flatnonzero(rows[column].to_numpy() != values)
        if len(wrong):
            raise ValueError(
                f"row {wrong[0]:,} has {column} {rows[column].iloc[wrong[0]]}, {whose}"
                f" {values[wrong[0]]} there ({len(wrong):,} rows differ)"
            )
    way = identity.way if bank is None else bank.recipe.way
    for column, verb in (("label", "has label"), ("prediction", "predicts")):
        values = rows[column].to_numpy()
        wrong = np.flatnonzero((values < 0) | (values >= (np.inf if way is None else way)))
        if len(wrong):
            last = "" if way is None else way - 1
            raise ValueError(
                f"row {wrong[0]:,} {verb} {values[wrong[0]]}; a class of an episode is 0..{last}"
            )
    margin = rows["margin"].to_numpy()
    wrong = np.flatnonzero(~np.isfinite(margin))
    if len(wrong) and not np.isnan(margin).all():
        raise ValueError(
            f"row {wrong[0]:,} has margin {margin[wrong[0]]}; margins are finite, or none is kept"
        )
