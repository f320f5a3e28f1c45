"""Commands at the same time: two and four, on one empty cache, or on one folder of results."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.outcomes import Tally
from tests.attacks.places import Place, content, leftovers, make_place
from tests.attacks.processes import prepare, run, start

LARGE = 48
"""Commands in all."""


def main(commands: int) -> Iterator[Tally]:
    """Start commands together, of both kinds and sizes."""
    prepare()
    with tempfile.TemporaryDirectory() as name:
        place = make_place(Path(name))
        for together in (2, 4):
            for shared in (False, True):
                yield attack(place, together, shared, max(1, commands // 4 // together))


def attack(place: Place, together: int, shared: bool, rounds: int) -> Tally:
    """Start so many at once; with ``shared``, all with the same ``--out``."""
    where = "one folder of results" if shared else "one empty cache"
    tally = Tally(f"{together} at once, {where}")
    words = ("run", "--data", place.videos, "--episodes", 20, "--methods", "protonet,otam")
    words = (*words, "--no-report", "--out")
    run((*words, place.folder / "alone"), place.folder / "log", place.environment)
    expected = content(place.folder / "alone")
    for _ in range(rounds):
        shutil.rmtree(place.cache, ignore_errors=True)
        outs = [place.folder / f"out-{0 if shared else one}" for one in range(together)]
        for out in outs:
            shutil.rmtree(out, ignore_errors=True)
        started = [
            start((*words, out), place.folder / f"log-{one}", place.environment)
            for one, out in enumerate(outs)
        ]
        ended = [one.outcome() for one in started]
        right = all(content(out) == expected and not leftovers(out) for out in outs)
        for outcome, said in ended:
            if outcome == "harmless" and not right:
                tally.add("wrong", said[-400:])
            elif outcome == "named" and not (shared and "is in use by" in said):
                tally.add("wrong", f"refused without reason: {said[-400:]}")
            else:
                tally.add(outcome, said[-400:])
    return tally
