"""A bank over a folder of the user's own videos."""

import re
from collections import Counter
from pathlib import Path
from typing import TypedDict

from episodes.banks.bank import Bank, frozen, rebuild
from episodes.banks.recipe import Recipe, read_recipe, recipe_names, recipe_of
from episodes.banks.sampler import VERSION
from episodes.datasets.folder import Folder
from episodes.errors import UserError
from episodes.split import Split, composed

WAY = 5
"""Classes in an episode, if there are as many."""
EPISODES = 10_000


def bank_over_folder(root: Path, episodes: int | None = None) -> Bank:
    """Draw a bank over all classes of a folder of ``class/video``: one shot, one query per class.

    If videos are in folders of recordings, no query comes from its support video's recording.

    Raises:
        UserError: it is not such a folder, or a class has only one video or recording.
    """
    name = re.sub(r"[^\w.-]+", "-", composed(root.resolve().name)).strip("-.")
    folder = Folder(name or "videos", root)
    split = folder.split("test")
    _refuse_lonely(folder.root, split)
    apart = any(video.group != video.name for video in split.videos)
    way = min(WAY, len(split.classes))
    recipe = recipe_of(
        name=f"{folder.name}-{way}w1s" + ("-group-disjoint" if apart else ""),
        dataset=folder.name,
        split="test",
        protocol="group-disjoint" if apart else "standard",
        way=way,
        shot=1,
        queries=1,
        episodes=EPISODES if episodes is None else episodes,
        seed=0,
        sampler=VERSION,
    )
    return rebuild(frozen(recipe, split), source=folder)


class Own(TypedDict, total=False):
    """What a run stores to rebuild a bank that does not come with the program."""

    recipe: Recipe
    root: str
    """The folder of videos, if it is not a registered data set."""


def own_recipe(bank: Bank) -> Own:
    """Return what rebuilds a bank; empty for one that comes with the program."""
    if bank.recipe.name in recipe_names() and read_recipe(bank.recipe.name) == bank.recipe:
        return {}
    own: Own = {"recipe": bank.recipe}
    if isinstance(bank.source, Folder) and bank.source.lists is None:
        own["root"] = str(bank.source.root)
    return own


def bank_of_own_recipe(recipe: Recipe, root: str | None, episodes: int) -> Bank:
    """Rebuild a bank from what `own_recipe` returned.

    Raises:
        UserError: the bank cannot be rebuilt here.
    """
    source = None if root is None else Folder(recipe.dataset, Path(root))
    return rebuild(recipe, episodes, without_list=True, source=source)


def _refuse_lonely(root: Path, split: Split) -> None:
    """An episode takes one video of a class for the support set and another as a query."""
    recordings = Counter(
        label for label, _ in {(video.label, video.group) for video in split.videos}
    )
    if lonely := [label for label in split.classes if recordings[label] == 1]:
        raise UserError(
            f"{root}: the class {lonely[0]!r} has a single video or recording, {len(lonely)} such"
            " in all; an episode needs one for the support set and another as a query: add one, or"
            " remove the class"
        )
