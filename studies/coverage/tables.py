"""The tables of docs/statistics.md and of the tutorial on gating, and the figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from bench.statistics.jackknife import pseudo_values
from bench.statistics.significance import sign_flip_p_value
from bench.statistics.variation import Trainings, measure
from episodes.banks.bank import open_bank
from studies.coverage.candidates import (
    CANDIDATES,
    OF_HARD,
    SECOND_OPINION,
    Candidate,
    of_episodes,
    over,
)
from studies.coverage.coverage import Coverage, Study, over_videos, over_worlds, study_of
from studies.coverage.families import families
from studies.coverage.gate import words
from studies.coverage.hard import CASES, HARDEST, Hard
from studies.coverage.worlds import Features, Logits, Retrained, Trained, World

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORLDS: Mapping[str, World] = {
    "logits": Logits(),
    "features": Features(),
    "features, easy": Features(noise=0.5),
}
SIZES = (100, 300, 1000, 3000, 10_000)
"""Episodes in the figure."""
DRAWN: Mapping[str, str] = {
    "episodes, the convention": "#c2510a",
    "t over class means": "#8a8f98",
    "chosen": "#0068a9",
}
"""Candidates in the figure, and their colours."""
TESTED = (10_000, 2_000, 300)
"""Episodes on which tests are tried."""
LOSSES, CHANGED, BANKS = (0.005, 0.01, 0.02), (0.02, 0.06, 0.13), (500, 2_000, 10_000)
"""For the gate: accuracy lost, share of answers changed, episodes."""
LINES = "pipe"


def _study(world: World, episodes: int | None = None, seed: int = 0) -> Study:
    return study_of(open_bank("default", episodes), world, seed)


def _new_classes(worlds: int, episodes: int) -> str:
    """Coverage of the mean over other videos and other classes, on the default bank."""
    found: dict[str, dict[str, Coverage]] = {}
    for name, world in WORLDS.items():
        for difference in (False, True):
            title = f"{name}: {'difference' if difference else 'accuracy'}"
            found[title] = over_worlds(_study(world, episodes), CANDIDATES, worlds, difference)
    return _table(found, CANDIDATES)


def _new_videos(worlds: int, episodes: int) -> str:
    """Coverage of the mean over other videos of the same classes."""
    candidates = {"episodes, the convention": of_episodes, "chosen (videos)": over("videos")}
    classes = max(2, worlds // 20)
    found = {
        f"{name}: accuracy": over_videos(_study(world, episodes), candidates, classes, 20)
        for name, world in WORLDS.items()
    }
    return _table(found, candidates)


def _new_trainings(worlds: int, episodes: int) -> str:
    """Coverage of the mean over other trainings, on other classes and videos."""
    candidates = {
        "episodes, the convention": of_episodes,
        "chosen (videos and classes)": over("videos and classes"),
        "chosen (videos, classes and trainings)": over("videos, classes and trainings"),
    }
    found = {
        f"{count} seeds": over_worlds(_study(Trained(count), episodes), candidates, worlds)
        for count in (2, 3, 5)
    }
    return _table(found, candidates)


def _predictions(worlds: int, episodes: int) -> str:
    """How often the next figure lies in the interval for the mean, and in the prediction."""
    lines = []
    for name, world in WORLDS.items():
        study = _study(world, episodes)
        for difference in (False, True):
            hits = [_next_data_set(study, number, difference) for number in range(worlds)]
            what = "difference" if difference else "accuracy"
            lines.append([f"{name}: {what}", "another data set", *_per_cent(hits)])
    for count in (2, 3, 5):
        study = _study(Trained(count + 1), episodes)
        hits = [_next_training(study, number) for number in range(worlds)]
        lines.append([f"features, {count} seeds: accuracy", "another training", *_per_cent(hits)])
    headers = ["world", "the next one", "in the interval for the mean", "in the prediction"]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _next_data_set(study: Study, number: int, difference: bool) -> list[bool]:
    here, there = (study.sample(one, one, difference) for one in (2 * number, 2 * number + 1))
    mean, following = here.estimate("videos and classes"), here.predict("another data set")
    ends = (
        (mean.interval(), following.interval())
        if difference
        else (mean.interval_over_classes(), following.interval_over_classes())
    )
    found = float(there.values.mean())
    return [low <= found <= high for low, high in ends]


def _next_training(study: Study, number: int) -> list[bool]:
    """The last training plays the one to come."""
    sample = study.sample(number, number, False)
    *known, following = sample.trainings.means if sample.trainings else []
    trainings = Trainings(known)
    ends = trainings.error.interval(), trainings.of_one_more.interval()
    return [low <= following <= high for low, high in ends]


def _per_cent(hits: Sequence[Sequence[bool]]) -> list[str]:
    return [f"{100 * one:.1f}" for one in np.mean(hits, axis=0)]


def _hard(worlds: int, episodes: int) -> str:
    """Coverage in hard worlds: accuracies, then differences."""
    of_differences = {name: one for name, one in OF_HARD.items() if name != "scale of the logit"}
    parts = [
        _cases(CASES, OF_HARD, worlds, episodes, difference=False),
        _cases(CASES, of_differences, worlds, episodes, difference=True),
    ]
    return "\n\n".join(parts)


def _second_opinion(worlds: int, episodes: int) -> str:
    """Whether a model with effects of classes and videos covers where the jackknife does not."""
    cases = {name: CASES[name] for name in HARDEST}
    parts = [_cases(cases, SECOND_OPINION, worlds, episodes, one) for one in (False, True)]
    return "\n\n".join(parts)


def _cases(
    cases: Mapping[str, Hard],
    candidates: Mapping[str, Candidate],
    worlds: int,
    episodes: int,
    difference: bool,
) -> str:
    lines = []
    for title, case in cases.items():
        found = over_worlds(case.study(episodes), candidates, worlds, difference)
        cells = [f"{100 * one.covered:.1f} (±{100 * one.half_width:.1f})" for one in found.values()]
        mean = next(iter(found.values())).mean
        lines.append([title, f"{100 * mean:.1f}", *cells])
    headers = [f"world: {'difference' if difference else 'accuracy'}", "mean", *candidates]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _gate(worlds: int, _: int) -> str:
    """Verdicts of the gate on a method that loses accuracy, among 32 that do not."""
    lines = []
    for loss in LOSSES:
        for episodes in BANKS:
            cells = []
            for changed in CHANGED:
                said = words(loss, episodes, changed, worlds).planted
                shares = [100 * said.get(word, 0.0) for word in ("ok", "undecided", "WORSE")]
                cells.append(" / ".join(f"{share:.0f}" for share in shares))
            lines.append([f"{100 * loss:g}", f"{episodes:,}", *cells])
    headers = ["points lost", "episodes", *(f"{100 * one:.0f}% changed" for one in CHANGED)]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _false_alarms(worlds: int, _: int) -> str:
    """How often any of 32 methods that lose nothing is called WORSE, and how often they are ok."""
    lines = []
    for episodes in (300, *BANKS):
        for changed in CHANGED:
            found = words(0.02, episodes, changed, worlds)
            shares = [found.old_false_alarm, found.false_alarm]
            shares += [found.unchanged.get(word, 0.0) for word in ("ok", "undecided")]
            cells = [f"{100 * one:.1f}" for one in shares]
            lines.append([f"{episodes:,}", f"{100 * changed:.0f}", *cells])
    headers = ["episodes", "% changed", "any WORSE, one interval each", "any WORSE", "each ok"]
    headers.append("each undecided")
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _families(worlds: int, _: int) -> str:
    """How often a difference is found in a family of equal methods."""
    lines = []
    for units in (6, 12, 24):
        for methods, shared in ((8, 0.5), (40, 0.5), (40, 0.0)):
            rates = families(units, methods, shared, worlds)
            lines.append([units, methods, shared, *(f"{100 * one:.1f}" for one in rates)])
    headers = ["units", "comparisons", "correlation", "step-down max-T", "Holm"]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _table(found: Mapping[str, Mapping[str, Coverage]], names: Mapping[str, Candidate]) -> str:
    """Coverage in per cent and mean half-width in points; the last row is the true deviation."""
    lines = [
        [name]
        + [
            f"{100 * one[name].covered:.1f} (±{100 * one[name].half_width:.1f})"
            for one in found.values()
        ]
        for name in names
    ]
    first = next(iter(names))
    errors = [f"{100 * one[first].error:.2f}" for one in found.values()]
    lines.append(["true standard error, points", *errors])
    return tabulate(lines, headers=["", *found], tablefmt=LINES, disable_numparse=True)


def _tests(worlds: int, _: int) -> str:
    """How often a difference between equal methods is found at the 5% level."""
    lines = []
    for episodes in TESTED:
        for name in ("logits", "features"):
            study = _study(WORLDS[name], episodes)
            rejected = np.mean([_rejected(study, number) for number in range(worlds)], axis=0)
            lines.append([name, f"{episodes:,}", *(f"{100 * one:.1f}" for one in rejected)])
    headers = ["world", "episodes", "t", "sign flips of pairs", "t over episodes"]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _rejected(study: Study, number: int) -> list[bool]:
    sample = study.sample(number, number, difference=True)
    flipped = sign_flip_p_value(pseudo_values(sample.values, sample.design.classes))
    p_values = [
        sample.estimate("videos and classes").p_value,
        flipped,
        sample.estimate("episodes").p_value,
    ]
    return [p_value < 0.05 for p_value in p_values]


def _trained_tests(worlds: int, episodes: int) -> str:
    """The same for methods whose trainings vary by 0.4 points."""
    lines = []
    for seeds in (2, 3, 5):
        study = _study(Retrained(seeds), episodes)
        rejected = [_trained_rejected(study, seeds, number) for number in range(worlds)]
        lines.append([str(seeds), *_per_cent(rejected)])
    headers = ["seeds of each", "t over videos and classes", "t over trainings too"]
    return tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True)


def _trained_rejected(study: Study, seeds: int, number: int) -> list[bool]:
    hits = study.hits(number, number).mean(axis=2).reshape(2, seeds, -1)
    trainings = [Trainings(list(one.mean(axis=1))) for one in hits]
    variation = measure(hits.mean(axis=1).T, study.design, trainings)
    kinds = ("videos and classes", "videos, classes and trainings")
    found = [variation.estimate(kind, 0, 1) for kind in kinds]  # type: ignore[arg-type]
    return [one is not None and one.p_value < 0.05 for one in found]


def figure(worlds: int) -> Figure:
    """Coverage against the number of episodes, in two worlds."""
    drawing = Figure(figsize=(7.2, 2.9), layout="constrained")
    for axes, name in zip(drawing.subplots(1, 2, sharey=True), ("logits", "features"), strict=True):
        candidates = {title: CANDIDATES[title] for title in DRAWN}
        found = [over_worlds(_study(WORLDS[name], size), candidates, worlds) for size in SIZES]
        _draw(axes, name, found)
    drawing.axes[0].set_ylabel("true accuracy inside, % of worlds")
    return drawing


def _draw(axes: "Axes", name: str, found: Sequence[Mapping[str, Coverage]]) -> None:
    axes.axhline(95, color="#1b2430", linewidth=0.8, linestyle=":")
    for title, colour in DRAWN.items():
        covered = [100 * one[title].covered for one in found]
        axes.plot(SIZES, covered, marker="o", markersize=3.5, color=colour, label=title)
    axes.set_xscale("log")
    axes.set_ylim(0, 101)
    axes.set_xlabel("episodes")
    axes.set_title(f"world of {name}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if name == "logits":
        axes.legend(frameon=False, fontsize=8)


@dataclass(frozen=True)
class Table:
    """A table of the pages, and the number of draws behind it."""

    make: Callable[[int, int], str]
    """Number of draws, episodes of the bank -> Markdown."""
    drawn: str = "worlds"
    times: float = 1.0
    """Draws per requested world: some are cheap, some expensive."""

    def text(self, worlds: int, episodes: int) -> str:
        """Make it, with a line that gives the number of draws."""
        draws = max(2, round(self.times * worlds))
        return f"{self.make(draws, episodes)}\n\nIn {draws:,} {self.drawn}."


TABLES: Mapping[str, Table] = {
    "second opinion": Table(_second_opinion),  # first, as it takes longest
    "new classes": Table(_new_classes),
    "new videos": Table(_new_videos),
    "new trainings": Table(_new_trainings),
    "predictions": Table(_predictions),
    "equal methods": Table(_tests),
    "equal trained methods": Table(_trained_tests, times=2),
    "families": Table(_families, "families", times=5),
    "hard worlds": Table(_hard),
    "gate": Table(_gate, "runs", times=5),
    "false alarms of the gate": Table(_false_alarms, "runs", times=5),
}


def table(name: str, worlds: int, episodes: int) -> str:
    """Make a table by name."""
    return TABLES[name].text(worlds, episodes)
