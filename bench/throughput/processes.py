"""A fresh process for each method, so that none inherits another's memory, caches or threads."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence

from bench.machine.progress import Reporter
from bench.throughput.record import Record
from episodes.errors import UserError


def measured_apart(
    names: Sequence[str], options: Sequence[str], reporter: Reporter
) -> list[Record]:
    """Measure methods one after another, in random order; return records in the order of names.

    Args:
        names: of methods.
        options: of the command, but for --methods and --json.
        reporter: told how many methods are done.

    Raises:
        UserError: a process said why it could not measure.
    """
    found: dict[str, list[Record]] = {}
    with reporter.stage("measure") as progress:
        for name in random.sample(names, len(names)):
            found[name] = _measured(name, options)
            progress(len(found), len(names))
    return [record for name in names for record in found[name]]


def _measured(name: str, options: Sequence[str]) -> list[Record]:
    command = [sys.executable, "-m", "bench", "throughput", "--methods", name, *options, "--json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise UserError(f"{name} was not measured; its own message stands above")
    records: list[Record] = json.loads(finished.stdout)
    return records
