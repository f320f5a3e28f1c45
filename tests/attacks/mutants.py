"""Tests of the tests: a mistake is written into a copy of the code, and its tests must fail.

Each mutant is one that a hand could make: another neighbour in a recurrence, another axis, a
degree of freedom. *named* are those that a test noticed, *wrong* those that survived.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
import torch

from tests.attacks.outcomes import Tally

ROOT = Path(__file__).parents[2]
LARGE = 10**6
LOADED = (mpl, pd, pytest, torch)
"""What forks need not load again."""
SEEN = ("bench", "episodes", "methods", "tests", "studies")
"""Packages that every fork loads anew, from the copy."""


@dataclass(frozen=True)
class Place:
    """A file, its mistakes, and the tests that must notice them."""

    name: str
    file: str
    tests: tuple[str, ...]
    mistakes: tuple[tuple[str, str], ...]
    """What is written there, and what instead."""


PARITY = "tests/test_parity.py::test_what_the_authors_code_computed_is_reproduced"
JACKKNIFE = ("tests/test_statistics_jackknife.py",)
PLACES = (
    Place(
        "OTAM's recurrence",
        "methods/parts/alignment.py",
        ("tests/methods/test_otam.py",),
        (
            ("either(w[:-1], w[1:])", "either(w[1:], w[1:])"),
            ("either(cells[-1], reached)", "either(cells[0], reached)"),
            (" or column == len(steps)", ""),
            ('"perrett": {1}', '"perrett": {}'),
            ('"paper": {}', '"paper": {1}'),
            ("range(len(steps))", "range(2, len(steps))"),
            ("pad(D, (1, 1))", "pad(D, (1, 0))"),
            ("(torch.maximum, 1.0)", "(torch.logaddexp, 1.0)"),
            ("-scale * w[-1]", "-scale * w[-2]"),
        ),
    ),
    Place(
        "MASTAF's attention",
        "methods/mastaf.py",
        ("tests/methods/test_mastaf.py", f"{PARITY}[mastaf_5way5shot]"),
        (
            ("m = M.mean(dim=-2)", "m = M.mean(dim=-1)"),
            ("(M * w.unsqueeze(-2)).mean(dim=-1)", "(M * w.unsqueeze(-1)).mean(dim=-1)"),
            ("s / self.settings.temperature", "s * self.settings.temperature"),
            ("self.attention(M.mT).transpose(1, 2)", "self.attention(M).transpose(1, 2)"),
            ("1 + self.settings.residual_gain * weights", "self.settings.residual_gain * weights"),
            ("normalize(branch.of_query @ query", "normalize(branch.of_query.flip(-1) @ query"),
        ),
    ),
    Place(
        "TRX's tuples",
        "methods/parts/tuples.py",
        (f"{PARITY}[trx_5way5shot]",),
        (
            ("itertools.combinations(", "itertools.permutations("),
            ("itertools.combinations(", "itertools.combinations_with_replacement("),
            ("index[:, place]]", "index[:, 0]]"),
            (".unbind(dim=1)", ".flip(1).unbind(dim=1)"),
        ),
    ),
    Place(
        "the sampler's arithmetic",
        "episodes/draws.py",
        ("tests/test_draws.py", "tests/test_bank.py"),
        (
            ("source >> np.uint64(32)", "source & np.uint64(2**32 - 1)"),
            ("product >> np.uint64(32)", "product >> np.uint64(31)"),
            ("counter=first_block", "counter=0"),
            ("position >= start, size", "position > start, size"),
        ),
    ),
    Place(
        "the sampler's draws",
        "episodes/banks/sampler.py",
        ("tests/test_bank.py",),
        (
            ("first * blocks, count * blocks", "first, count * blocks"),
            ("integers(word, size - sum(sizes))", "integers(word, size - 1)"),
            ("again, 0, group_size", "again, 1, group_size"),
            ("available - _largest_groups(split, recipe.shot)", "available - recipe.shot"),
        ),
    ),
    Place(
        "estimates",
        "bench/statistics/estimate.py",
        ("tests/test_statistics.py",),
        (
            ("np.std(values, ddof=1)", "np.std(values, ddof=0)"),
            ("deviation / count**0.5, count - 1", "deviation / count**0.5, count"),
            ("stdtrit(self.degrees, 0.5 + level / 2)", "stdtrit(self.degrees, level)"),
            ("2 * stdtr(", "stdtr("),
            ("stdtr(self.degrees, self.mean", "stdtr(self.degrees, -self.mean"),
            ("reach = half / (self.mean * (1 - self.mean))", "reach = half / self.mean"),
            ("1 / (self.degrees + 1))", "1 / self.degrees)"),
            ("if self.mean > CEILING", "if self.mean < CEILING"),
        ),
    ),
    Place(
        "the jackknife",
        "bench/statistics/jackknife.py",
        JACKKNIFE,
        (
            ("weight = 1 - 1 / size", "weight = 1 / size"),
            ("return covariance, float(weight.sum())", "return covariance, float(episodes - 1)"),
            ("counts.sum() / episodes - 1", "counts.sum() / episodes"),
            (
                "moved = without - (sums / sizes[:, None])[stratum]",
                "moved = without - without.mean(axis=0)",
            ),
            (" or units.always_shown.any()", ""),
            ("(number - 1) * without)", "number * without)"),
            ("used, episodes = units.shown", "used, episodes = units.counts >= 0"),
        ),
    ),
    Place(
        "kinds of variation",
        "bench/statistics/variation.py",
        (*JACKKNIFE, "tests/test_compare.py"),
        (
            ("weights[minus] -= 1", "weights[minus] -= 0"),  # a difference that is not paired
            ('("videos and classes", design.classes)', '("videos and classes", design.videos)'),
            (
                "covariances[kind], degrees[kind] = covariance, free",
                "degrees[kind] = free; covariances[kind] = covariances['episodes']",
            ),
            ("total**0.5, joint", "total**0.5, base.degrees"),
            ("(1 + 1 / count) ** 0.5", "(1 / count) ** 0.5"),
            ("np.std(self.means, ddof=1)", "np.std(self.means)"),
            ("self.deviation / count**0.5, count - 1", "self.deviation, count - 1"),
            ("return base if len(trained) == 1 else None", "return base"),
            ("error=2**0.5 * found.error", "error=found.error"),
        ),
    ),
    Place(
        "tests of differences",
        "bench/statistics/significance.py",
        ("tests/test_statistics.py", *JACKKNIFE, "tests/test_compare.py"),
        (
            ("np.maximum.accumulate(steps))\n    return [", "steps)\n    return ["),
            ("(len(order) - np.arange(len(order)))", "len(order)"),
            ("(reached + 1) / (PATTERNS + 1)", "reached / PATTERNS"),
            ("own = min(1.0, DOUBT / degrees)", "own = 0.0"),
            ("drawn[:, ::-1], axis=1)[:, ::-1]", "drawn, axis=1)"),
            ("ndtri(values[order] / 2)", "ndtri(values[order])"),
            ("np.quantile(largest, level)", "np.quantile(largest, 1 - level)"),
        ),
    ),
    Place(
        "units",
        "bench/statistics/units.py",
        JACKKNIFE,
        (
            ("np.minimum(own, partner)", "own"),
            ("class_of_recording[recordings] = class_of_video", "pass"),
            ("_members(recordings, shown)", "_members(np.arange(len(recordings)), shown)"),
        ),
    ),
    Place(
        "letters",
        "bench/statistics/significance.py",
        JACKKNIFE,
        (
            ("{group - {one}, group - {other}}", "{group - {one}}"),
            ("not any(part < larger for larger in parts)", "True"),
        ),
    ),
    Place(
        "power",
        "bench/statistics/power.py",
        ("tests/test_power.py",),
        (("POWER = 0.8", "POWER = 0.5"),),
    ),
    Place(
        "the gate's comparison",
        "bench/comparison/gate/verdict.py",
        ("tests/test_gate.py",),
        (
            ("if low >= -allowed.drop - ROUNDING", "if high >= -allowed.drop - ROUNDING"),
            ("elif high < -allowed.drop - ROUNDING", "elif low < -allowed.drop - ROUNDING"),
            (" and p_value < 1 - allowed.level", ""),
            ("iter(holm(gains))", "iter(gains)"),
            (
                "after.episode_accuracy() - before.episode_accuracy())",
                "before.episode_accuracy() - after.episode_accuracy())",
            ),
            (
                'if "WORSE" in outcomes:\n        return 1',
                'if "WORSE" in outcomes:\n        return 2',
            ),
            ("return with_trainings(found, trained)", "return found"),
            ('"the anchor": anchor}', '"the anchor": None}'),
            (
                "return max(math.ceil(episodes * (half / away) ** 2)",
                "return max(math.ceil(episodes * (half / away))",
            ),
        ),
    ),
)


def main(most: int) -> Iterator[Tally]:
    """Try every mistake, or the first so many of every file."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        left_out = shutil.ignore_patterns(".git", "__pycache__", "local", "real", "names")
        shutil.copytree(ROOT, copy, ignore=left_out)
        for place in PLACES:
            yield attack(place, copy, most)


def attack(place: Place, copy: Path, most: int) -> Tally:
    """Write one mistake after another into a file of the copy, and run its tests."""
    tally = Tally(f"mutants: {place.name}")
    file = copy / place.file
    sound = file.read_text(encoding="utf-8")
    if tested(copy, place.tests):
        raise RuntimeError(f"{place.tests} fail without any mistake")
    for old, new in place.mistakes[:most]:
        if sound.count(old) < 1:
            raise RuntimeError(f"{place.file} has no {old!r}: mend the list of mistakes")
        file.write_text(sound.replace(old, new), encoding="utf-8")
        status = tested(copy, place.tests)
        known = {0: "wrong", 1: "named"}.get(status, "traceback")
        tally.add(known, f"{old!r} -> {new!r}: status {status}")  # type: ignore[arg-type]
    file.write_text(sound, encoding="utf-8")
    return tally


def tested(copy: Path, tests: tuple[str, ...]) -> int:
    """Run tests of the copy in a fork; return pytest's exit status."""
    process = os.fork()
    if not process:
        os.chdir(copy)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for module in [one for one in sys.modules if one.partition(".")[0] in SEEN]:
            del sys.modules[module]
        sys.path[:] = [str(copy), *(one for one in sys.path if one not in {"", str(ROOT)})]
        sys.dont_write_bytecode = True
        words = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:benchmark"]
        os._exit(int(pytest.main([*words, *tests])))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
