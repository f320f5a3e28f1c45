"""Files that come with the program, held against the hashes that are committed beside them.

`results/weights/SHA256SUMS` lists them, as ``sha256sum`` writes and checks it. When weights are
replaced:

    cd results/weights
    find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
"""

import hashlib
from functools import cache
from pathlib import Path

from bench.weights.paths import WEIGHTS_FOLDER
from episodes.errors import UserError

SUMS = WEIGHTS_FOLDER / "SHA256SUMS"
RESTORE = "restore the file from the release, or with `git checkout results/weights`"


@cache
def committed() -> dict[Path, str]:
    """Hashes of all shipped files.

    Raises:
        UserError: the list is missing or damaged.
    """
    try:
        lines = [line.split("  ", 1) for line in SUMS.read_text(encoding="utf-8").splitlines()]
        return {
            WEIGHTS_FOLDER.resolve() / name.removeprefix("./"): sha256 for sha256, name in lines
        }
    except (OSError, ValueError) as error:
        raise UserError(f"{SUMS} cannot be read: {error}; {RESTORE}") from error


def check_shipped(path: Path) -> None:
    """Refuse a shipped file that is not the one that was committed; others are not looked at.

    Raises:
        UserError: it is missing or changed.
    """
    if (problem := _problem(path)) is not None:
        raise UserError(problem)


def problems() -> list[str]:
    """What is wrong with shipped files, one line each."""
    return [problem for path in committed() if (problem := _problem(path)) is not None]


def _problem(path: Path) -> str | None:
    path = path.resolve()
    if not path.is_relative_to(WEIGHTS_FOLDER.resolve()) or path not in committed():
        return None
    if not path.is_file():
        return f"{path}, which comes with the program, is missing; {RESTORE}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != committed()[path]:
        return f"{path} is not the file that comes with the program: its sha256 differs; {RESTORE}"
    return None
