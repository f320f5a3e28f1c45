"""The page: everything put into one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from bench.comparison.frame import Comparison
from bench.machine.progress import Reporter
from bench.report.assembly import BROWSER, SCRIPT, assembled
from bench.report.provenance import provenance
from bench.report.sections import BankSection, bank_section
from episodes.atomic import write_text
from episodes.errors import counted


def write_report(
    path: Path,
    comparisons: Sequence[Comparison],
    reporter: Reporter | None = None,
    thumbnails: bool = False,
) -> None:
    """Write the report of comparisons to a file; arguments as for `render`."""
    write_text(path, render(comparisons, reporter, thumbnails))


def render(
    comparisons: Sequence[Comparison], reporter: Reporter | None = None, thumbnails: bool = False
) -> str:
    """Return the report as HTML, the same for the same runs.

    Args:
        comparisons: one for each bank, at least one.
        reporter: told of videos that are made or embedded for the pictures of cases, which take
            seconds; None leaves the pictures out, and the browser of errors.
        thumbnails: whether frames of videos that are not drawn by this program may be shown.
    """
    banks: list[BankSection] = [
        bank_section(one, number, reporter, thumbnails)
        for number, one in enumerate(comparisons, start=1)
    ]
    counts = "; ".join(f"{one.bank}: {one.rows[0].episodes:,}" for one in comparisons)
    return assembled(
        "report.html",
        {
            "title": _title(comparisons),
            "lead": "Few-shot video classification, every method on the same fixed, seeded"
            f" episodes ({counts}). Every interval says what varies in it.",
            "banks": banks,
            "provenance": provenance(comparisons),
        },
        scripts=[SCRIPT, BROWSER],
    )


def _title(comparisons: Sequence[Comparison]) -> str:
    methods = len({row.method for one in comparisons for row in one.rows})
    *banks, last = [one.bank for one in comparisons]
    names = " and ".join(filter(None, (", ".join(banks), last)))
    return f"{counted(methods, 'method')} on the bank{'s' if len(comparisons) > 1 else ''} {names}"
