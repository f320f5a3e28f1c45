"""The circumstances of a run: machine, versions, commit, command."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
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
        packages=dict(_versions()),
        commit=commit,
        dirty=dirty,
    )


@cache  # a process runs the code with which it started, whatever is committed since
def _commit() -> tuple[str | None, bool | None]:
    """The commit of a clone, and whether its files were changed since; None outside of one."""
    commit = git("-C", str(ROOT), "rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    changes = None if commit is None else git("-C", str(ROOT), "status", "--porcelain")
    return commit, None if commit is None else bool(changes)


@cache
def _versions() -> Mapping[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


@cache
def _computer() -> str:
    """Identify this computer without revealing its name: speeds are compared on one alone."""
    known = f"{platform.node()}\n{_processor()}\n{os.cpu_count()}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]


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
