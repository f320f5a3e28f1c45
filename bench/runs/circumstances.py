"""What a run was made on: machine, versions, commit, command."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import torch

import bench
from bench.machine import distributed
from bench.machine.device import describe_device
from bench.machine.installation import PACKAGES
from bench.runs.schema import Circumstances

ROOT = Path(__file__).parents[2]


def circumstances(device: torch.device) -> Circumstances:
    """Return what is kept beside a run's identity."""
    commit, dirty = _commit()
    return Circumstances(
        command=shlex.join(["fvbench", *sys.argv[1:]]),
        device=describe_device(device),
        machine=f"{platform.machine()} {platform.system()}",
        computer=_computer(),
        processes=distributed.size(),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        version=bench.__version__,
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
        commit=commit,
        dirty=dirty,
    )


def _computer() -> str:
    """Tell this computer from others without giving its name away: speeds compare on one alone."""
    known = f"{platform.node()}\n{_processor()}\n{os.cpu_count()}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def _processor() -> str:
    """The processor's model, where Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _commit() -> tuple[str | None, bool | None]:
    """Commit and whether files were changed since, where this is a clone."""
    revision = _git("rev-parse", "HEAD")
    if revision is None or not (ROOT / ".git").exists():
        return None, None
    return revision, bool(_git("status", "--porcelain"))


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
