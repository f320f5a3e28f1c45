"""How often a difference is found in a family of equal methods, with corrected p-values."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bench.statistics.significance import holm, step_down


def families(units: int, methods: int, shared: float, worlds: int) -> tuple[float, float]:
    """Return the share of families with a difference at 5%, after step-down max-T and Holm.

    Args:
        units: classes, in each of which every method's difference to the reference is normal.
        methods: number of differences.
        shared: their correlation: one half if all methods, and the reference, are alike.
        worlds: number of families that are drawn.
    """
    generator = np.random.default_rng([units, methods])
    wrong = np.zeros(2)
    for _ in range(worlds):
        common = generator.standard_normal((1, units))
        own = generator.standard_normal((methods, units))
        p_values, loadings = _tested(shared**0.5 * common + (1 - shared) ** 0.5 * own)
        stepped = step_down(p_values.tolist(), loadings, units - 1, 0.95, draws=1000)
        wrong += min(stepped.p_values) < 0.05, min(holm(p_values.tolist())) < 0.05
    return float(wrong[0] / worlds), float(wrong[1] / worlds)


def _tested(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(methods, units) differences -> p-values of Student's t, and loadings of each mean."""
    units = values.shape[1]
    errors = values.std(axis=1, ddof=1) / units**0.5
    p_values = 2 * stdtr(units - 1, -np.abs(values.mean(axis=1)) / errors)
    return p_values, (values - values.mean(axis=1, keepdims=True)) / (units * (units - 1)) ** 0.5
