"""Folders of a machine in text: they say who made a page and where, and are taken out of it."""

import re

SEPARATOR = r"[/\\]"
PLACE = re.compile(r"(?<![\w./:…-])(?:/[^\s/'\"<>,;]+){2,}|\b[A-Za-z]:(?:\\[^\s\\'\"<>,;]+){2,}")
"""Absolute paths."""


def without_places(text: str) -> str:
    """Replace absolute paths by their last part.

    >>> without_places("fvbench run --data /home/ada/clips --out results/local/run")
    'fvbench run --data …/clips --out results/local/run'
    """
    return PLACE.sub(lambda found: f"…/{re.split(SEPARATOR, found[0])[-1]}", text)
