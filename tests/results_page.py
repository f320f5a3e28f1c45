"""The page ``results/README.md``: its tables and its verdicts follow from the committed rows.

Every table is what the command above it prints. Every verdict on two methods in the text stands
between marks that name them, and is made of their corrected p-value: the comparisons are declared
in ``results/comparisons.toml``. ``python -m tests.results_page`` writes both anew, or in the pages
that are named: every table of ``docs/real-videos.md`` is one of these too.
"""

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

from bench.commands.arguments import read_family
from bench.comparison.frame import decisive_interval, probability, signed
from bench.comparison.row import DeclaredComparison
from bench.comparison.summary import compare
from bench.runs import directory
from bench.runs.directory import RESULTS_FOLDER, find_runs
from tests.command import call

PAGE = RESULTS_FOLDER / "README.md"
FAMILY = RESULTS_FOLDER / "comparisons.toml"
BLOCK = re.compile(r"(<!-- (fvbench [^\n]*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
read_run = cache(directory.read_run)
"""Several commands of a page read the same runs."""
VERDICT = re.compile(r"(<!-- verdict: (.+?) \| (.+?) -->)(.*?)(<!-- / -->)", re.DOTALL)


def regenerated(text: str) -> str:
    """Return the page with every table and every verdict made anew."""
    text = VERDICT.sub(lambda found: f"{found[1]}{words(found[2], found[3])}{found[5]}", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "read_run", read_run)
        return BLOCK.sub(lambda found: f"{found[1]}\n{_printed(found[2])}\n{found[4]}", text)


def words(method: str, against: str) -> str:
    """Say what a declared comparison amounts to, and no more."""
    found = declared()[method, against]
    points, interval = signed(found.difference or 0.0), decisive_interval(found)
    p_value = probability(found.p_value_corrected)
    figures = f"{points} points, {interval}, p {p_value if p_value[:1] in '<>' else f'= {p_value}'}"
    if found.verdict in {"better", "worse"}:
        return f"{found.verdict} ({figures})"
    if found.verdict == "undecided":
        return f"not told apart ({figures}; {100 * (found.smallest or 0.0):.1f} would have been)"
    return f"not judged ({points} points; {found.verdict})"


@cache
def declared() -> dict[tuple[str, str], DeclaredComparison]:
    """Every declared comparison, by the names in its declaration."""
    family = read_family(FAMILY)
    runs = [read_run(path) for path in find_runs(RESULTS_FOLDER / "runs")]
    (comparison,) = compare(runs, family=family)
    return dict(zip(family, comparison.declared, strict=True))


def written_by_hand(text: str) -> str:
    """Return what of the page no command has printed."""
    return VERDICT.sub("", BLOCK.sub("", text))


def _printed(command: str) -> str:
    code, printed = call(*shlex.split(command)[1:])
    if code:
        raise RuntimeError(printed)
    return printed


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:] or [PAGE]):
        page.write_text(regenerated(page.read_text(encoding="utf-8")), encoding="utf-8")
