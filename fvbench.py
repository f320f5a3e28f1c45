"""The command ``fvbench``, which first checks that it can be run here at all.

The current folder must exist, and no package of ours may be hidden by another one.

Our packages have plain names. Where Python searches the current folder first, as with ``python -m``
and ``PYTHONPATH=.``, a user's own ``methods`` would silently be imported in place of ours.
"""

import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
OURS = ("bench", "methods", "episodes")


def check_place() -> None:
    """Exit with one line if the current folder is gone, or another package hides one of ours."""
    try:
        Path.cwd()
    except OSError as error:
        _refuse(
            f"the current folder cannot be used ({error.strerror}); it may have been deleted:"
            " change to another one, and give the command again"
        )
    for name in OURS:
        spec = importlib.util.find_spec(name)
        found = Path((spec and spec.origin) or name).resolve().parent
        if found != HERE / name:
            _refuse(
                f"{found} hides the package {name} of fewshot-video-bench, which is at"
                f" {HERE / name}; rename it, or give the command from another folder and without it"
                " in PYTHONPATH"
            )


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


def main() -> None:
    """Run the command line."""
    check_place()
    from bench import __main__  # noqa: PLC0415 - not before it is known to be ours

    __main__.main()
