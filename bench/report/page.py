"""The report: one HTML file that needs no other."""

from collections.abc import Sequence
from pathlib import Path

from bench.comparison.frame import Comparison
from bench.machine.progress import Reporter
from bench.report.assembly import assembled
from bench.report.provenance import provenance
from bench.report.sections import bank_section
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
        reporter: shows progress while videos are made and embedded, which takes seconds; if None,
            the pictures of cases and the browser of errors are left out.
        thumbnails: whether to show frames of videos that this program did not draw.
    """
    methods = len({row.method for one in comparisons for row in one.rows})
    *banks, last = [one.bank for one in comparisons]
    names = f"banks {', '.join(banks)} and {last}" if banks else f"bank {last}"
    content = {
        "title": f"{counted(methods, 'method')} on the {names}",
        "banks": [
            bank_section(one, f"bank-{number}", reporter, thumbnails)
            for number, one in enumerate(comparisons, start=1)
        ],
        "provenance": provenance(comparisons),
    }
    return assembled("report.html", content)
