"""The installed packages, checked before anything else is imported."""

import importlib
import importlib.metadata
import platform
from typing import NamedTuple

PACKAGES = ("torch", "numpy", "decord", "av", "pandas", "pyarrow", "safetensors", "scipy")
"""Packages whose version may affect a result."""


class Finding(NamedTuple):
    """The result of one check."""

    subject: str
    ok: bool
    needed: bool
    """Whether the default run needs it."""
    words: str


def look_at_packages() -> list[Finding]:
    """Check that the packages can be imported."""
    return [
        Finding("python", True, True, platform.python_version()),
        *(_package(name) for name in PACKAGES),
    ]


def _package(name: str) -> Finding:
    try:
        importlib.import_module(name)
        return Finding(name, True, True, importlib.metadata.version(name))
    except Exception as error:  # such as the OSError of a missing shared library
        words = f"cannot be imported ({error}); `python -m pip install --force-reinstall {name}`"
        needed = name != "decord"  # PyAV reads videos where it is missing
        return Finding(name, False, needed, words)
