"""What commands say to the network, as strace sees it: nothing.

Needs ``strace``. Pairs of sockets without a name, by which a process speaks to its own children,
are no network; nor are files in `/run` that libraries ask for. Jobs of several processes speak
over the loopback and are left out.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.outcomes import Tally
from tests.attacks.places import Place, make_place

LARGE = 1
NETWORK = re.compile(r"(?:connect|bind|sendto)\(\d+, \{sa_family=AF_(?:INET6?|PACKET|NETLINK)")
OPENED = re.compile(r"socket\(AF_(?:INET6?|PACKET)")


def commands(place: Place) -> dict[str, tuple[object, ...]]:
    """What is traced."""
    out = place.folder / "out"
    own = ("run", "--data", place.videos, "--episodes", 10, "--methods", "protonet,otam")
    return {
        "run with a report": (*own, "--report", "--out", out),
        "train": (
            *("train", "mastaf", "--freeze-backbone", "--recipe", place.recipe),
            *("--out", place.folder / "trained"),
        ),
        "compare": ("compare", out),
        "figures": ("figures", out, "--out", place.folder / "figures"),
        "gate": ("gate", out, out),
        "doctor": ("doctor",),
    }


def main(rounds: int) -> Iterator[Tally]:
    """Trace every command."""
    if not shutil.which("strace"):
        raise SystemExit("sockets: strace is not installed")
    with tempfile.TemporaryDirectory() as name:
        place = make_place(Path(name))
        for _ in range(rounds):
            for title, words in commands(place).items():
                yield attack(title, words, place)


def attack(title: str, words: tuple[object, ...], place: Place) -> Tally:
    """Trace a command and all its children."""
    tally = Tally(f"traced: {title}")
    log = place.folder / "trace"
    finished = subprocess.run(
        [
            *("strace", "-f", "-qq", "-e", "trace=socket,connect,bind,sendto", "-o", str(log)),
            *(sys.executable, "-m", "bench", *map(str, words)),
        ],
        env=os.environ | dict(place.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    seen = [line for line in log.read_text().splitlines() if NETWORK.search(line)]
    seen += [line for line in log.read_text().splitlines() if OPENED.search(line)]
    if finished.returncode not in {0, 1, 2}:
        tally.add("traceback", finished.stderr[-500:])
    elif seen:
        tally.add("wrong", f"{len(seen)} calls, as {seen[0]}")
    else:
        tally.add("harmless")
    return tally
