"""Running ``fvbench``: in a process of its own as a person does, in a copy of this one, or in it.

A process of its own imports everything anew, which takes longer than most commands that tests run.
"""

import itertools
import multiprocessing
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

from bench.__main__ import DEFECT, TRACEBACK, app


def fvbench(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of this process; return its exit status and what it printed."""
    with tempfile.TemporaryDirectory() as name:
        process = forked(*words, folder=Path(name), **environment)
        process.join(timeout=240)
        process.kill()  # only one that hangs is still there
        process.join()
        printed = ((Path(name) / stream).read_text() for stream in ("stdout", "stderr"))
        return subprocess.CompletedProcess(list(words), process.exitcode, *printed)


def fresh(*words: str | Path, **environment: str) -> str:
    """Run a command that must succeed in a new process and return its standard output."""
    finished = subprocess.run(
        [sys.executable, "-m", "bench", *_quickly(words)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def torchrun(
    processes: int, *words: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command by several new processes as one job."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), "-m", "bench", *map(str, words)),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        timeout=240,
        check=False,
    )


def forked(*words: object, folder: Path, **environment: str) -> ForkProcess:
    """Start a command in a copy of this process; it prints to two files of the folder."""

    def run() -> None:
        os.environ.update(environment)
        # A copy's first thread to use torch makes its pool of threads anew; two at once would fail.
        torch.set_num_threads(torch.get_num_threads())
        for number, name in (1, "stdout"), (2, "stderr"):
            with (folder / name).open("w") as file:
                os.dup2(file.fileno(), number)
            setattr(sys, name, open(number, "w", buffering=1, closefd=False))  # noqa: SIM115
        app(_quickly(words))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def pytest_in_a_copy(folder: Path) -> tuple[int | None, str]:
    """Run the tests of a folder in a copy of this process; return exit status and what it said."""
    log = folder / "pytest.log"

    def run() -> None:
        os.chdir(folder)
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
        sys.exit(pytest.main(words))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode, log.read_text()


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a copy of this process that dies before its rename of this number, if it has one.

    Nothing that work would tidy up is tidied up.
    """
    process = os.fork()
    if not process:
        renames = itertools.count()

        def dying(rename: Callable[..., None]) -> Callable[..., None]:
            return lambda *places: os._exit(9) if next(renames) == step else rename(*places)

        os.rename, os.replace = dying(os.rename), dying(os.replace)
        try:
            work()
        finally:
            os._exit(0)
    return bool(os.waitpid(process, 0)[1])


def job(processes: int, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command by copies of this process as one job, as `torchrun` would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    with tempfile.TemporaryDirectory() as name:
        shared = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": str(processes)} | address
        started, folders = [], [Path(name) / str(rank) for rank in range(processes)]
        for rank, folder in enumerate(folders):
            folder.mkdir()
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} | shared | environment
            started.append(forked(*words, folder=folder, **own))
        deadline = time.monotonic() + 240
        while any(one.is_alive() for one in started) and not any(one.exitcode for one in started):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        code = next((one.exitcode for one in started if one.exitcode), 0)
        for one in started:  # the others would wait for one that has died
            one.kill()
            one.join()
        printed = (
            "".join((folder / stream).read_text() for folder in folders)
            for stream in ("stdout", "stderr")
        )
        return subprocess.CompletedProcess(list(words), code, *printed)


def call(*words: str | Path) -> tuple[int, str]:
    """Run a command in this process; return its exit status and all it printed."""
    result = CliRunner().invoke(app, _quickly(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code != DEFECT or TRACEBACK not in os.environ, result.output
    return result.exit_code, result.output


def succeeds(*words: str | Path) -> str:
    """Run a command that must succeed in this process; return all it printed."""
    status, said = call(*words)
    assert status == 0, said
    return said


def refused(*words: str | Path) -> str:
    """Run a command that must be refused; return the message."""
    status, said = call(*words)
    assert status == 2, said
    return said


def _quickly(words: Sequence[object]) -> list[str]:
    """The same command without the report of a run, unless it is asked for: it takes seconds."""
    given = list(map(str, words))
    wanted = given[:1] == ["run"] and not {"--report", "--help"} & set(given)
    return [*given, "--no-report"] if wanted else given


EPISODES = "4"
"""As many as a command of the documentation has time for in a test."""


def shortened(line: str) -> list[str]:
    """Words of a command as a page shows it; a run is of a few episodes."""
    words = shlex.split(line)[1:]
    if words[0] == "run" and "--episodes" in words:
        words[words.index("--episodes") + 1] = EPISODES
    return words


def predictions(folder: Path) -> dict[str, np.ndarray]:
    """Predictions of every method below a folder."""
    return {
        path.parent.name: pd.read_parquet(path)["prediction"].to_numpy()
        for path in sorted(folder.glob("**/rows.parquet"))
    }


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two runs gave the same answers, row for row."""
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def parse(words: list[str]) -> None:
    """Refuse words that the command line does not know, without running anything."""
    command = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        context = command.context_class(command, info_name="fvbench", parent=context)
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_context("fvbench", list(words), parent=context)
