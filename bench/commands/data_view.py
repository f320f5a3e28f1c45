"""What a check of a dataset found, as people read it."""

from collections.abc import Iterator

from tabulate import tabulate

from episodes.banks.verification import FATAL, KINDS, Verification, by_class

SHOWN = 20
"""Videos and classes named on a terminal; ``--json`` names all."""


def as_text(found: Verification) -> str:
    """Return the tables: videos by split, classes that lack some, banks, and what is wrong."""
    parts = [f"{found.dataset} at {found.root}", _splits(found), *_classes(found)]
    if found.banks:
        parts.append(_banks(found))
    parts += [f"{split}: not known. {reason}" for split, reason in found.unknown.items()]
    parts += _troubles(found)
    return "\n\n".join([*parts, _verdict(found)]) + "\n"


def _splits(found: Verification) -> str:
    kinds = KINDS if found.decoded else ("missing", "empty", "several")
    cells = [
        [split, f"{listed:,}", *(f"{found.count(split, kind):,}" for kind in kinds)]
        for split, listed in found.listed.items()
    ]
    return tabulate(cells, ["split", "listed", *kinds], tablefmt="simple", stralign="right")


def _classes(found: Verification) -> Iterator[str]:
    short = by_class(found.troubles)
    if short:
        cells = [[split, label, count] for (split, label), count in list(short.items())[:SHOWN]]
        yield tabulate(cells, ["split", "class", "unusable"], tablefmt="simple")
    if len(short) > SHOWN:
        yield f"... and {len(short) - SHOWN} more classes"


def _banks(found: Verification) -> str:
    cells = [
        [one.bank, f"{one.episodes:,}", f"{one.whole:,}", f"{one.whole / one.episodes:.1%}"]
        for one in found.banks
    ]
    heads = ["bank", "episodes", "usable", "coverage"]
    return tabulate(cells, heads, tablefmt="simple", colalign=("left", *["right"] * 3))


def _troubles(found: Verification) -> Iterator[str]:
    lines = [
        f"{one.kind}: {one.split} {one.label}/{one.name}: {one.words}"
        for one in found.troubles[:SHOWN]
    ]
    if lines:
        yield "\n".join(lines)
    if len(found.troubles) > SHOWN:
        yield f"... and {len(found.troubles) - SHOWN:,} more; --json names all"


def _verdict(found: Verification) -> str:
    unusable = sum(one.kind in FATAL for one in found.troubles)
    listed = sum(found.listed.values())
    looked = "decoded" if found.decoded else "looked for, none opened"
    if not unusable:
        but = f", but not all of {' and '.join(found.unknown)}" if found.incomplete else ""
        return f"all {listed:,} listed videos are there ({looked}){but}"
    return (
        f"{unusable:,} of {listed:,} listed videos cannot be used ({looked}); get them again, or"
        " run on what is left with --allow-missing"
    )
