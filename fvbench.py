"""The command ``fvbench``, and a look at whose packages it would use before it uses any.

Our packages have plain names. Where Python looks into the current folder first, as with
``python -m`` and ``PYTHONPATH=.``, a user's own ``methods`` would be taken for ours without a word.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = ("bench", "methods", "episodes")


def refuse_others() -> None:
    """End the program with one line if a package of ours is hidden by another of its name."""
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
