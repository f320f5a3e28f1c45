"""Writing a first version of a method or a backbone, with its test."""

import keyword
import re
import shlex
import sys
from collections.abc import Container
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal, NamedTuple

from bench.plugins.source import CATALOGUE
from bench.plugins.syntax import HARNESS
from episodes.errors import UserError

MODULE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
TEMPLATES = files("bench") / "templates"
TEMPLATE_FILES = {
    "method": ("method.txt", "its_test.txt"),
    "backbone": ("backbone.txt", "backbone_test.txt"),
}
"""Kind of plugin -> templates of the plugin and of its test."""

Kind = Literal["method", "backbone"]


class Written(NamedTuple):
    """A new plugin and its test."""

    kind: Kind
    name: str
    """As `fvbench` knows it."""
    file: Path
    test: Path

    def next_commands(self) -> list[str]:
        """Return the commands to type next: check it, run it, print the table."""
        file, out = shlex.quote(str(self.file)), f"results/local/{self.name}"
        if self.kind == "method":
            chosen = f"--methods {self.name},protonet"
        else:
            chosen = f"--backbone {self.name} --methods protonet,otam"
        return [
            f"fvbench check-{self.kind} {file}",
            f"fvbench run --plugin {file} {chosen} --out {out}",
            f"fvbench tables {out}",
        ]


def write_plugin(kind: Kind, module: str, folder: Path, taken: Container[str]) -> Written:
    """Write a first version of a plugin that works, and its test.

    Args:
        kind: the kind of plugin.
        module: name of the file without .py: lower-case words joined by underscores or hyphens.
        folder: folder of the files, created if necessary.
        taken: existing names.

    Raises:
        UserError: the name is invalid or taken, or a file exists already.
    """
    module = module.replace("-", "_")
    _check_name(kind, module)
    name = module.replace("_", "-")
    if name in taken:
        raise UserError(f"there is a {kind} called {name} already; choose another name")
    written = Written(kind, name, folder / f"{module}.py", folder / f"test_{module}.py")
    paths = (written.file, written.test)
    for path in paths:
        if path.exists():
            raise UserError(f"{path} is there already, and nothing is overwritten; move it away")
    words = module.split("_")
    values = {
        "module": module,
        "name": name,
        "title": " ".join(words).capitalize(),
        "class_name": "".join(word.capitalize() for word in words),
        "year": datetime.now(UTC).year,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in zip(paths, TEMPLATE_FILES[kind], strict=True):
            text = (TEMPLATES / template).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error}; choose another --into") from error
    return written


def _check_name(kind: Kind, module: str) -> None:
    if not MODULE.fullmatch(module) or keyword.iskeyword(module):
        raise UserError(
            f"{module!r} cannot be the name of a {kind}'s file; it takes lower-case words joined by"
            f" underscores, such as my_{kind}"
        )
    if module.startswith("test_"):
        raise UserError(f"{module!r} looks like a test, and is not searched for plugins; rename it")
    taken = {*sys.stdlib_module_names, *packages_distributions(), *HARNESS, CATALOGUE}
    if module in taken:
        raise UserError(f"{module!r} is the name of a module that Python needs; choose another one")
