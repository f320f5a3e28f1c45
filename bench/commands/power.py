"""``fvbench power``."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Json, Plugin, Reference, Runs, print_result
from episodes.errors import UserError

if TYPE_CHECKING:
    from bench.comparison.frame import Comparison
    from bench.statistics import Kind
    from bench.statistics.power import Need


def power(
    folders: Runs,
    difference: Annotated[
        float, typer.Option(help="Difference to detect, a fraction: 0.01 is one point.")
    ] = 0.01,
    reference: Reference = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Say how much data it takes to detect a difference.

    Computed from the variance of finished runs, for each method's paired difference to the
    reference. Three questions have three answers: on these videos, more episodes; on other videos
    of these classes, more videos; on other classes, more classes. A difference is detected if its
    95% interval excludes zero, which it does four times in five with the numbers given.

    exit status
      0  done
      2  nothing to go by: no runs, a single method, or runs that cannot be compared

    Example: fvbench power results/local/run --difference 0.01
    """
    from bench.commands.arguments import gather
    from bench.comparison.summary import compare_on_one_bank

    if not 0 < difference < 1:
        raise UserError(f"--difference is {difference}; it is a fraction between 0 and 1")
    runs, banks = gather(folders)
    comparison = compare_on_one_bank(runs, reference, banks)
    if len(comparison.rows) < 2:
        raise UserError(
            f"only {comparison.rows[0].title} is here; a paired difference takes two methods: run"
            " another one on the same bank"
        )
    needs = _needs(comparison, difference)
    if not needs:
        raise UserError("a single episode has no variance to go by; run more episodes")
    if not json:
        print_result(_text(comparison, needs, difference))
        return
    plain = {
        title: {kind: asdict(need) for kind, need in by_kind.items()}
        for title, by_kind in needs.items()
    }
    content = {"bank": comparison.bank, "reference": comparison.reference}
    print_result(content | {"difference": difference, "methods": plain})


def _needs(comparison: "Comparison", wanted: float) -> "dict[str, dict[str, Need]]":
    """Title of each method but the reference -> kind of variation -> data needed."""
    from bench.statistics import design_of
    from bench.statistics.power import need

    titles = [row.title for row in comparison.rows]
    reference = titles.index(comparison.reference)
    units: dict[Kind, int] = {"episodes": comparison.rows[0].episodes}
    if comparison.opened is not None:
        design = design_of(comparison.opened.split, comparison.opened.episodes)
        # Units that no episode shows have no part in the error.
        units["videos"] = int(design.videos.shown.sum())
        units["videos and classes"] = int(design.classes.shown.sum())
    needs: dict[str, dict[str, Need]] = {title: {} for title in titles}
    for index, title in enumerate(titles):
        for kind, count in units.items() if index != reference else ():
            estimate = comparison.variation.estimate(kind, index, reference)
            if estimate is not None and not math.isnan(estimate.error):
                needs[title][kind] = need(estimate, count, wanted)
    return {title: by_kind for title, by_kind in needs.items() if by_kind}


def _text(comparison: "Comparison", needs: "dict[str, dict[str, Need]]", wanted: float) -> str:
    from bench.comparison.tables import table
    from bench.statistics.power import MOST

    titles = [f"vs {comparison.reference}"]
    for kind in next(iter(needs.values())):  # the bank decides on the kinds, not the method
        titles += [f"{kind}:\nseen now", f"{kind}:\nhave → need"]
    lines = []
    for title, by_kind in needs.items():
        line = [title]
        for need in by_kind.values():
            needed = f"{need.needed:,}" if need.needed < MOST else f"> {MOST:,}"
            line += [f"{100 * need.smallest:.2f}", f"{need.units:,} → {needed}"]
        lines.append(line)
    note = (
        f"seen now: smallest difference, in points, that is detected. need: number of episodes,"
        f" videos or classes that detects a {100 * wanted:g}-point difference.\n{comparison.bank}:"
        f" {comparison.units}. Videos count as recordings and classes as partner pairs, if there"
        " are any; classes have as many videos each as now."
    )
    if any(row.trained for row in comparison.rows):
        note += (
            "\nWeights are taken as they are. Other trainings would vary too, and nothing is"
            " decided between two methods that were trained once each."
        )
    return table(titles, lines, note, "terminal")
