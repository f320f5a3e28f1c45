"""How often a family of equal methods is called different, with p-values corrected for it."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.statistics.significance import holm, step_down


def families(units: int, methods: int, shared: float, worlds: int) -> tuple[float, float]:
    """Return the share of families with a difference at 5%, after step-down max-T and Holm.

    Args:
        units: classes, in each of which every method's difference to the reference is normal.
        methods: how many differences.
        shared: their correlation: one half if all methods are alike, as is their reference.
        worlds: how many families are drawn.
    """
    generator = np.random.default_rng([units, methods])
    wrong = np.zeros(2)
    for _ in range(worlds):
        common, own = (
            generator.standard_normal((1, units)),
            generator.standard_normal((methods, units)),
        )
        p_values, loadings = _tested(shared**0.5 * common + (1 - shared) ** 0.5 * own)
        stepped = step_down(p_values.tolist(), loadings, units - 1, 0.95, draws=1000)
        wrong += min(stepped.p_values) < 0.05, min(holm(p_values.tolist())) < 0.05
    return float(wrong[0] / worlds), float(wrong[1] / worlds)


def _tested(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(methods, units) differences -> p-values of Student's t, and what moves each mean."""
    units = values.shape[1]
    errors = values.std(axis=1, ddof=1) / units**0.5
    p_values = 2 * stats.t.sf(np.abs(values.mean(axis=1)) / errors, units - 1)
    return p_values, (values - values.mean(axis=1, keepdims=True)) / (units * (units - 1)) ** 0.5
