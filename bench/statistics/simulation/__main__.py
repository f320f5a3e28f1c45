"""Try intervals on simulated worlds: the tables and the figure of docs/statistics.md.

``python -m bench.statistics.simulation --worlds 400 --out docs/coverage.svg``
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from tabulate import tabulate

from bench.charts.saving import save_figure
from bench.progress import Reporter
from bench.statistics.jackknife import pseudo_values
from bench.statistics.significance import sign_flip_p_value
from bench.statistics.simulation.candidates import CANDIDATES, Candidate, of_episodes, over
from bench.statistics.simulation.coverage import Coverage, Study, over_videos, over_worlds, study_of
from bench.statistics.simulation.worlds import Features, Logits, Trained, World
from bench.statistics.variation import measure
from episodes.bank import open_bank

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


def main(
    worlds: Annotated[int, typer.Option(help="How many worlds are drawn for each table.")] = 400,
    out: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("docs/coverage.svg"),
) -> None:
    """Print what intervals cover, as Markdown tables, and draw the figure."""
    reporter = Reporter()
    with reporter.stage("tables") as progress:
        parts = [_new_classes, _new_videos, _new_trainings, _tests]
        for done, part in enumerate(parts, start=1):
            typer.echo(part(worlds) + "\n")
            progress(done, len(parts))
    save_figure(_figure(worlds), out)


def _study(world: World, episodes: int | None = None, seed: int = 0) -> Study:
    return study_of(open_bank("default", episodes), world, seed)


def _new_classes(worlds: int) -> str:
    """Coverage of what other videos and other classes would give, on the default bank."""
    found: dict[str, dict[str, Coverage]] = {}
    for name, world in WORLDS.items():
        for difference in (False, True):
            title = f"{name}: {'difference' if difference else 'accuracy'}"
            found[title] = over_worlds(_study(world), CANDIDATES, worlds, difference)
    return _table(found, CANDIDATES)


def _new_videos(worlds: int) -> str:
    """Coverage of what other videos of the same classes would give."""
    candidates = {"episodes, the convention": of_episodes, "chosen (videos)": over("videos")}
    draws = round(worlds**0.5)
    found = {
        f"{name}: accuracy": over_videos(_study(world), candidates, draws, draws)
        for name, world in WORLDS.items()
    }
    return _table(found, candidates)


def _new_trainings(worlds: int) -> str:
    """Coverage of what other trainings, on other classes and videos, would give."""
    candidates = {
        "episodes, the convention": of_episodes,
        "chosen (videos and classes)": over("videos and classes"),
        "chosen (videos, classes and trainings)": over("videos, classes and trainings"),
    }
    found = {
        f"{count} seeds": over_worlds(_study(Trained(count)), candidates, worlds)
        for count in (2, 3, 5)
    }
    return _table(found, candidates)


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
    return tabulate(lines, headers=["", *found], tablefmt="pipe", disable_numparse=True)


def _tests(worlds: int) -> str:
    """How often equal methods are called different at the level of 5%."""
    lines = []
    for episodes in TESTED:
        for name in ("logits", "features"):
            study = _study(WORLDS[name], episodes)
            rejected = np.mean([_rejected(study, number) for number in range(worlds)], axis=0)
            lines.append([name, f"{episodes:,}", *(f"{100 * one:.1f}" for one in rejected)])
    headers = ["world", "episodes", "t", "sign flips of pairs", "t over episodes"]
    return tabulate(lines, headers=headers, tablefmt="pipe", disable_numparse=True)


def _rejected(study: Study, number: int) -> list[bool]:
    sample = study.sample(number, number, difference=True)
    variation = measure(sample.values[:, None], sample.design)
    wide, narrow = (variation.estimate(kind, 0) for kind in ("videos and classes", "episodes"))
    flipped = sign_flip_p_value(pseudo_values(sample.values, sample.design.classes))
    p_values = [wide.p_value if wide else 1.0, flipped, narrow.p_value if narrow else 1.0]
    return [p_value < 0.05 for p_value in p_values]


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
