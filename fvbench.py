"""The command ``fvbench``, which first checks that no package of ours is hidden by another.

Our packages have plain names. Where Python searches the current folder first, as with ``python -m``
and ``PYTHONPATH=.``, a user's own ``methods`` would silently be imported in place of ours.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = ("bench", "methods", "episodes")


def refuse_others() -> None:
    """Exit with one line if another package of the same name hides one of ours."""
    for name in OURS:
        spec = importlib.util.find_spec(name)
        found = Path((spec and spec.origin) or name).resolve().parent
        if found != HERE / name:
            print(  # noqa: T201
                f"error: {found} hides the package {name} of fewshot-video-bench, which is at"
                f" {HERE / name}; rename it, or give the command from another folder and without it"
                " in PYTHONPATH",
                file=sys.stderr,
            )
            sys.exit(2)


def main() -> None:
    """Run the command line."""
    refuse_others()
    from bench import __main__  # noqa: PLC0415 - not before it is known to be ours

    __main__.main()
