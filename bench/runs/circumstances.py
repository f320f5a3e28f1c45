"""The circumstances of a run: machine, versions, commit, command."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

import bench
from bench.machine import distributed
from bench.machine.device import describe_device
from bench.machine.installation import PACKAGES
from bench.runs.schema import Circumstances

ROOT = Path(__file__).parents[2]


def circumstances(device: torch.device) -> Circumstances:
    """Return what is kept beside a run's identity."""
    return Circumstances(
        command=shlex.join(["fvbench", *sys.argv[1:]]),
        device=describe_device(device),
        processes=distributed.size(),
        threads=torch.get_num_threads(),
        **_constant(),
    )


@cache  # a process runs the code with which it started, whatever is committed since
def _constant() -> dict[str, Any]:
    """Circumstances that stay the same while a process runs."""
    commit = git("-C", str(ROOT), "rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    changes = None if commit is None else git("-C", str(ROOT), "status", "--porcelain")
    # Identifies the computer without revealing its name.
    computer = f"{platform.node()}\n{_processor()}\n{os.cpu_count()}"
    return {
        "machine": f"{platform.machine()} {platform.system()}",
        "computer": hashlib.sha256(computer.encode()).hexdigest()[:12],
        "python": platform.python_version(),
        "version": bench.__version__,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": commit,
        "dirty": None if commit is None else bool(changes),
    }


def _processor() -> str:
    """The processor's model, where Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def git(*words: str) -> str | None:
    """Return what a git command prints; None if it fails, or git is not installed."""
    try:
        done = subprocess.run(
            ["git", *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
