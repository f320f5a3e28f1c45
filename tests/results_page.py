"""The page ``results/README.md``: every table in it is what the command above it prints.

``python -m tests.results_page`` writes the tables anew from the committed rows.
"""

import re
import shlex
from pathlib import Path

from bench.paths import RESULTS_FOLDER
from tests.command import call

PAGE = RESULTS_FOLDER / "README.md"
BLOCK = re.compile(r"(<!-- (fvbench [^\n]*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def regenerated(text: str) -> str:
    """Return the page with every table made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{_printed(found[2])}\n{found[4]}", text)


def _printed(command: str) -> str:
    code, printed = call(*shlex.split(command)[1:])
    if code:
        raise RuntimeError(printed)
    return printed


def main() -> None:
    """Write the page."""
    Path(PAGE).write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
