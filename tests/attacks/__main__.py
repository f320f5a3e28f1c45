"""``python -m tests.attacks KIND [N]``: the large form of an attack, a row of the page for each."""

import sys
from importlib import import_module

from tests.attacks.outcomes import TABLE, Tally

KINDS = (
    "files",
    "values",
    "videos",
    "inputs",
    "kills",
    "jobs",
    "disks",
    "crowds",
    "soak",
    "sockets",
    "mutants",
    "plugins",
)


def main(kind: str, number: int | None) -> int:
    """Run an attack; return how many variants ended as none may."""
    if kind not in KINDS:
        raise SystemExit(f"{kind}: the kinds are {', '.join(KINDS)}")
    attack = import_module(f"tests.attacks.{kind}")
    print(TABLE, flush=True)  # noqa: T201
    total = Tally("all")
    for tally in attack.main(number or attack.LARGE):
        print(tally.row(), flush=True)  # noqa: T201
        for fault in tally.faults[:5]:
            print(fault, file=sys.stderr, flush=True)  # noqa: T201
        total += tally
    print(total.row())  # noqa: T201
    return len(total.faults)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None)))
