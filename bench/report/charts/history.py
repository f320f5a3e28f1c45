"""The curves that `fvbench train` left beside the weights of runs."""

import pandas as pd

from bench.comparison.summary import Comparison
from bench.report.cases.rebuilding import weights_of
from bench.runs.contenders import Contender
from episodes.errors import UserError

CURVE = "train.csv"


def curves_of(comparison: Comparison) -> dict[str, list[pd.DataFrame]]:
    """Return the curves of every row that was trained here, by its title."""
    found = {
        row.title: _curves(one)
        for row, one in zip(comparison.rows, comparison.contenders, strict=True)
    }
    return {title: curves for title, curves in found.items() if curves}


def _curves(one: Contender) -> list[pd.DataFrame]:
    """One curve for each training whose weights are still where they were."""
    curves = []
    for run in one.runs:
        try:
            weights = weights_of(run)
        except (UserError, KeyError):
            continue
        if weights is not None and (weights.parent / CURVE).is_file():
            curves.append(pd.read_csv(weights.parent / CURVE))
    return curves
