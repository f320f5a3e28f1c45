"""A bank over a folder of anybody's own videos."""

import re
from pathlib import Path

from episodes.bank import Bank, frozen
from episodes.datasets.folder import Folder
from episodes.recipe import Recipe
from episodes.sampler import VERSION, draw

WAY = 5
"""Classes in an episode, where there are as many."""
EPISODES = 10_000


def bank_over_folder(root: Path, episodes: int | None = None) -> Bank:
    """Draw a bank over all classes of a folder of ``class/video``: one shot, one query a class.

    Args:
        root: the folder.
        episodes: how many; 10,000 if None.

    Raises:
        UserError: it is no such folder, or a class has a single video.
    """
    folder = Folder(_name(root), root)
    split = folder.split("test")
    way, count = min(WAY, len(split.classes)), episodes or EPISODES
    name = f"{folder.name}-{way}w1s"
    recipe = Recipe(name, folder.name, "test", "standard", way, 1, 1, count, 0, VERSION)
    return Bank(frozen(recipe, split), split, draw(recipe, split, count), folder)


def _name(root: Path) -> str:
    """A name for tables and paths, made from the folder's."""
    return re.sub(r"[^\w.-]+", "-", root.resolve().name).strip("-.") or "videos"
