"""Declared families: which comparisons a study is about, said before it is run.

A TOML file with pairs of methods, or of titles as `fvbench compare` prints them; the second is
taken off from the first:

    comparisons = [
        ["otam", "protonet"],
        ["mastaf-noml-mean (tuned, 3 seeds)", "mastaf (tuned, 3 seeds)"],
    ]

P-values and verdicts are corrected for these alone, so that what is asked is told apart more
easily, and what is not asked not at all.
"""

import tomllib
from pathlib import Path

from bench.comparison.summary import Pair
from episodes.errors import UserError


def read_family(path: Path) -> list[Pair]:
    """Read the pairs of a declared family.

    Raises:
        UserError: it cannot be read, names no comparison, or one of other than two methods.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--family {path} cannot be read: {error}") from error
    pairs = content.get("comparisons")
    if not isinstance(pairs, list) or not pairs:
        raise UserError(
            f'--family {path} names no comparisons; it has: comparisons = [["otam", "protonet"]]'
        )
    for pair in pairs:
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)
        ):
            raise UserError(f"--family {path}: {pair} is not a pair of methods")
        if pair[0] == pair[1]:
            raise UserError(f"--family {path}: {pair[0]} is compared with itself")
    return [(one, other) for one, other in pairs]
