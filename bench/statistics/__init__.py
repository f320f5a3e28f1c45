"""Intervals that say what varies in them, paired differences, and tests (docs/statistics.md).

Pure functions of episodes and units: nothing here knows a run.

May import: episodes, episodes.banks.
"""

from bench.statistics.estimate import CEILING, LEVEL, UNSEEN, Estimate, over_episodes
from bench.statistics.jackknife import jackknife, pseudo_values, variance_shares
from bench.statistics.significance import (
    StepDown,
    holm,
    letters,
    mcnemar_p_value,
    sign_flip_p_value,
    step_down,
)
from bench.statistics.units import Design, Units, design_of
from bench.statistics.variation import (
    KINDS,
    Kind,
    Prediction,
    Trainings,
    Variation,
    measure,
    with_trainings,
)

__all__ = [
    "CEILING",
    "KINDS",
    "LEVEL",
    "UNSEEN",
    "Design",
    "Estimate",
    "Kind",
    "Prediction",
    "StepDown",
    "Trainings",
    "Units",
    "Variation",
    "design_of",
    "holm",
    "jackknife",
    "letters",
    "mcnemar_p_value",
    "measure",
    "over_episodes",
    "pseudo_values",
    "sign_flip_p_value",
    "step_down",
    "variance_shares",
    "with_trainings",
]
