"""The comparison of several banks as text."""

from collections import Counter

from bench.comparison.across.agreement import Correlation
from bench.comparison.across.summary import Across, Standing
from bench.comparison.frame import points, signed
from bench.comparison.tables import table
from bench.statistics import LEVEL

SHOWN = 10
"""Number of contradictory pairs that the text names; JSON has all."""


def text(found: Across, style: str = "terminal") -> str:
    """Return tables of agreement, gaps and ranks with their notes, and what repeats."""
    parts = [_agreements(found, style), _gaps(found, style), _ranks(found, style)]
    return "\n".join([*(part for part in parts if part), replicability(found)])


def _agreements(found: Across, style: str) -> str:
    if not found.agreements:
        return ""
    lines = [
        [one.one, one.other, str(one.methods), _correlation(one.tau), _correlation(one.rho)]
        for one in found.agreements
    ]
    note = (
        f"Rank correlation of the methods' accuracies, with the {LEVEL:.0%} interval over classes"
        " (jackknife; chance and single-frame left out). Methods that hardly differ pull it"
        " towards 0."
    )
    titles = ("bank", "other bank", "methods", "Kendall's tau", "Spearman's rho")
    return table(titles, lines, note, style)


def _correlation(one: Correlation) -> str:
    value = _hundredths(one.value)
    if one.interval is None:
        return value
    return f"{value} ({_hundredths(one.interval[0])} to {_hundredths(one.interval[1])})"


def _hundredths(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _gaps(found: Across, style: str) -> str:
    if not found.gaps:
        return ""
    lines = [
        [
            one.bank,
            str(one.order_aware),
            str(one.order_blind),
            signed(one.gap),
            points(one.interval),
        ]
        for one in found.gaps
    ]
    note = (
        "gap: mean accuracy of the methods to which the order of frames can make a difference, less"
        f" that of the others, in points, of the methods that all banks have; {LEVEL:.0%} interval"
        " over videos and classes."
    )
    titles = ("bank", "order-aware methods", "others", "gap", "interval")
    return table(titles, lines, note, style)


def _ranks(found: Across, style: str) -> str:
    lines = [
        [method, *(cell for place in found.places for cell in _standing(standings[place.title]))]
        for method, standings in found.standings.items()
    ]
    alike = ", ".join(
        f"{one} (as {other})" for one, other in found.duplicates.items() if other in found.methods
    )
    alike = f"\nLeft out for giving the same answers as another one: {alike}." if alike else ""
    units = "\n".join(f"{place.title}: {place.comparison.units}." for place in found.places)
    note = (
        f"rank: the {LEVEL:.0%} interval of a method's rank among the {len(found.methods)} that all"
        " banks have, for all methods at once. Methods that are significantly better (paired, over"
        " the widest of videos, classes and trainings that both support, Holm over all pairs of the"
        " bank) rank above it, significantly worse ones below. Two that were trained once each are"
        " not judged, nor one that reads names against one that does not. Sorted by mean"
        f" rank.{alike}\n{units}"
    )
    titles = ["method"]
    for place in found.places:
        titles += [f"{place.title}\naccuracy %", f"{place.title}\nrank"]
    return table(titles, lines, note, style)


def _standing(one: Standing) -> tuple[str, str]:
    """A method's accuracy on a bank, and its rank."""
    same = one.best_rank == one.worst_rank
    rank = str(one.best_rank) if same else f"{one.best_rank} to {one.worst_rank}"
    return f"{100 * one.accuracy:.1f}", rank


def replicability(found: Across) -> str:
    """Say on how many banks differences repeat, and where banks contradict each other."""
    banks = len(found.places)
    contradicted = [pair for pair in found.pairs if pair.first_better and pair.second_better]
    counts = Counter(
        max(len(pair.first_better), len(pair.second_better))
        for pair in found.pairs
        if pair not in contradicted
    )
    lines = [
        f"Of {len(found.pairs)} pairs of methods, after correction on each bank:",
        "",
        *(
            f"- the same one is better on {count} of {banks} banks: {counts[count]}"
            for count in range(banks, 0, -1)
        ),
        f"- none is better on any: {counts[0]}",
        f"- one is better on some banks, the other on others: {len(contradicted)}",
        *(
            f"    - {pair.first} on {', '.join(pair.first_better)};"
            f" {pair.second} on {', '.join(pair.second_better)}"
            for pair in contradicted[:SHOWN]
        ),
    ]
    if (more := len(contradicted) - SHOWN) > 0:
        lines.append(f"    - and {more} more pairs (--json has all)")
    return "\n".join(lines) + "\n"
