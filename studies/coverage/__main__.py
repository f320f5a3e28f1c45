"""Try intervals, verdicts and the gate on simulated worlds: the tables of docs/statistics.md.

``python -m studies.coverage --worlds 400 --out docs/coverage.svg`` prints all of them; some
minutes, in proportion to the number of worlds.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from tabulate import tabulate

from bench.machine.progress import Reporter
from bench.report.charts.saving import save_figure
from bench.statistics.jackknife import pseudo_values
from bench.statistics.significance import sign_flip_p_value
from bench.statistics.variation import Trainings, measure
from episodes.banks.bank import open_bank
from studies.coverage.candidates import (
    CANDIDATES,
    OF_HARD,
    Candidate,
    of_episodes,
    over,
)
from studies.coverage.coverage import Coverage, Study, over_videos, over_worlds, study_of
from studies.coverage.families import families
from studies.coverage.gate import words
from studies.coverage.hard import CASES
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
"""Of the gate: accuracy lost, share of answers changed, episodes."""
LINES = "pipe"


def main(
    worlds: Annotated[int, typer.Option(help="How many worlds are drawn for each table.")] = 400,
    episodes: Annotated[int, typer.Option(help="Of the bank on which most are tried.")] = 2000,
    out: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("docs/coverage.svg"),
    only: Annotated[str, typer.Option(help="A table by name, instead of all.")] = "",
) -> None:
    """Print what intervals cover and verdicts err, as Markdown tables, and draw the figure."""
    tables: dict[str, Callable[[], str]] = {
        "new classes": lambda: _new_classes(worlds, episodes),
        "new videos": lambda: _new_videos(worlds, episodes),
        "new trainings": lambda: _new_trainings(worlds, episodes),
        "predictions": lambda: _predictions(worlds, episodes),
        "equal methods": lambda: _tests(worlds),
        "equal trained methods": lambda: _trained_tests(worlds, episodes),
        "families": lambda: _families(5 * worlds),
        "hard worlds": lambda: _hard(worlds, episodes),
        "gate": lambda: _gate(worlds),
        "false alarms of the gate": lambda: _false_alarms(worlds),
    }
    chosen = {name: table for name, table in tables.items() if only in {"", name}}
    with Reporter().stage("tables") as progress:
        for done, (name, table) in enumerate(chosen.items(), start=1):
            typer.echo(f"### {name}\n\n{table()}\n")
            progress(done, len(chosen))
    if not only:
        save_figure(_figure(worlds), out)


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
    draws = round(worlds**0.5)
    found = {
        f"{name}: accuracy": over_videos(_study(world, episodes), candidates, draws, draws)
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
    """How often the next one falls into the interval for the mean, and into the prediction."""
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
    """The last training is the one to come."""
    sample = study.sample(number, number, False)
    *known, following = sample.trainings.means if sample.trainings else []
    trainings = Trainings(known)
    ends = trainings.error.interval(), trainings.of_one_more.interval()
    return [low <= following <= high for low, high in ends]


def _per_cent(hits: Sequence[Sequence[bool]]) -> list[str]:
    return [f"{100 * one:.1f}" for one in np.mean(hits, axis=0)]


def _hard(worlds: int, episodes: int) -> str:
    """Coverage where it is hard: accuracies, then differences."""
    parts = []
    for difference in (False, True):
        names = [name for name in OF_HARD if not (difference and "logit" in name)]
        lines = []
        for title, case in CASES.items():
            tried = {name: OF_HARD[name] for name in names}
            found = over_worlds(case.study(episodes), tried, worlds, difference)
            cells = [
                f"{100 * one.covered:.1f} (±{100 * one.half_width:.1f})" for one in found.values()
            ]
            lines.append([title, f"{100 * found[names[0]].mean:.1f}", *cells])
        what = "difference" if difference else "accuracy"
        headers = [f"world: {what}", "mean", *names]
        parts.append(tabulate(lines, headers=headers, tablefmt=LINES, disable_numparse=True))
    return "\n\n".join(parts)


def _gate(worlds: int) -> str:
    """What the gate calls a method that loses something, among 32 that do not."""
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


def _false_alarms(worlds: int) -> str:
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


def _families(worlds: int) -> str:
    """How often a family of equal methods is called different."""
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


def _tests(worlds: int) -> str:
    """How often equal methods are called different at the level of 5%."""
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
    """How often equal methods are called different that were trained with luck of 0.4 points."""
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


def _figure(worlds: int) -> Figure:
    """Coverage against the number of episodes, in two worlds."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("logits", "features"), strict=True):
        candidates = {title: CANDIDATES[title] for title in DRAWN}
        found = [over_worlds(_study(WORLDS[name], size), candidates, worlds) for size in SIZES]
        _draw(axes, name, found)
    figure.axes[0].set_ylabel("true accuracy inside, % of worlds")
    return figure


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


if __name__ == "__main__":
    typer.run(main)
