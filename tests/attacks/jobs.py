"""Jobs of two and three processes of which one is killed: the others end, and the job goes on.

The processes are started with the environment that torchrun gives them. Torchrun ends the others
when one dies; here they are given the time to notice by themselves, and then ended as it does.
"""

import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.outcomes import Tally
from tests.attacks.places import Place, content, leftovers, make_place
from tests.attacks.processes import Command, prepare, start

LARGE = 40
WORDS = {
    "run": ("--data", "{videos}", "--episodes", "40", "--batch-size", "4", "--no-report"),
    "train": ("mastaf", "--freeze-backbone", "--recipe", "{recipe}"),
}
METHODS = ("--methods", "protonet,otam,trx,matching-networks")
NOTICED = 20.0
"""Seconds in which the processes that are left may end by themselves."""


def main(kills: int) -> Iterator[Tally]:
    """Kill one process of a job, of both commands and sizes."""
    prepare()
    with tempfile.TemporaryDirectory() as name:
        place = make_place(Path(name))
        for command in WORDS:
            for processes in (2, 3):
                yield attack(command, processes, place, max(1, kills // 4))


def attack(command: str, processes: int, place: Place, kills: int, seed: int = 0) -> Tally:
    """Kill one of so many processes, then give the command again."""
    tally = Tally(f"killed: one of {processes} processes, {command}")
    draw = random.Random(f"{command} {processes} {seed}")  # noqa: S311 - it chooses moments
    out = place.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    for _ in range(2):  # the first fills the cache
        shutil.rmtree(out, ignore_errors=True)
        since = time.monotonic()
        last = _ended(_job(command, processes, place, out))
        seconds = time.monotonic() - since
    if set(last) != {0}:
        raise RuntimeError(f"undisturbed, the job ends so: {last}; see {place.folder}")
    expected = content(out)
    for number in range(kills):
        shutil.rmtree(out, ignore_errors=True)
        job = _job(command, processes, place, out)
        time.sleep(draw.uniform(0.0, seconds))
        job[draw.randrange(processes)].kill()
        statuses = [one.wait(NOTICED) for one in job]
        hung = [one for one in job if not _told_to_end(one)]
        again = _ended(_job(command, processes, place, out))
        said = [one.said()[-300:] for one in job]
        if any("Traceback" in one.said() for one in job):
            tally.add("traceback", f"kill {number}: {said}")
        elif hung:
            tally.add("hang", f"kill {number}: {statuses}: {said}")
        elif set(again) != {0} or content(out) != expected or leftovers(out):
            tally.add("wrong", f"kill {number}: {again}: {said}")
        else:
            tally.add("named" if 2 in statuses else "harmless")
    return tally


def _told_to_end(one: Command) -> bool:
    """Do as torchrun does with those that wait for one that is no more; say whether it ended."""
    if one.status is None:
        os.kill(one.process, signal.SIGTERM)
    ended = one.wait(NOTICED) is not None
    one.kill()
    return ended


def _ended(job: list[Command]) -> list[int | None]:
    return [one.wait() for one in job]


def _job(command: str, processes: int, place: Place, out: Path) -> list[Command]:
    words = [one.format(videos=place.videos, recipe=place.recipe) for one in WORDS[command]] + [
        "--out",
        str(out),
    ]
    words += METHODS if command == "run" else ()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **place.environment,
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "attack",
    }
    return [
        start(
            (command, *words),
            place.folder / f"log-{rank}",
            {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]
