"""Intervals that say what varies in them, paired differences, and tests. docs/statistics.md."""

from bench.statistics.estimate import LEVEL, Estimate, over_episodes
from bench.statistics.jackknife import jackknife, pseudo_values
from bench.statistics.letters import letters
from bench.statistics.significance import holm, mcnemar_p_value, sign_flip_p_value
from bench.statistics.units import Design, Units, design_of
from bench.statistics.variation import KINDS, Kind, Trainings, Variation, measure

__all__ = [
    "KINDS",
    "LEVEL",
    "Design",
    "Estimate",
    "Kind",
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
]
