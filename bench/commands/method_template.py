"""Writing the first version of a method, and its test."""

import keyword
import re
import shlex
import sys
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from episodes.errors import UserError

MODULE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
TEMPLATES = files("bench") / "templates"


class Written(NamedTuple):
    """A method that was written, and its test."""

    name: str
    """As `fvbench` knows it."""
    method: Path
    test: Path

    def next_commands(self) -> list[str]:
        """Return what to type next: check it, run it, see the table once more."""
        file, out = shlex.quote(str(self.method)), f"results/local/{self.name}"
        return [
            f"fvbench check-method {file}",
            f"fvbench run --plugin {file} --methods {self.name},protonet --out {out}",
            f"fvbench tables {out}",
        ]


def write_method(module: str, folder: Path, taken: Container[str]) -> Written:
    """Write a method that works as it is, and its test.

    Args:
        module: name of the file without .py: lower-case words joined by underscores; hyphens are
            taken for underscores.
        folder: where to; it is made if need be.
        taken: names of methods that are there already.

    Raises:
        UserError: the name does not do or is taken, or a file is there already.
    """
    module = module.replace("-", "_")
    _check_name(module)
    name = module.replace("_", "-")
    if name in taken:
        raise UserError(f"there is a method called {name} already; choose another name")
    written = Written(name, folder / f"{module}.py", folder / f"test_{module}.py")
    for path in (written.method, written.test):
        if path.exists():
            raise UserError(f"{path} is there already, and nothing is overwritten; move it away")
    values = _values(module, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written.method.write_text(_filled("method.txt", values), encoding="utf-8")
        written.test.write_text(_filled("its_test.txt", values), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error}; choose another --into") from error
    return written


def _values(module: str, name: str) -> dict[str, object]:
    """What the templates leave open."""
    words = module.split("_")
    return {
        "module": module,
        "name": name,
        "title": " ".join(words).capitalize(),
        "class_name": "".join(word.capitalize() for word in words),
        "year": datetime.now(UTC).year,
    }


def _filled(template: str, values: Mapping[str, object]) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _check_name(module: str) -> None:
    if not MODULE.fullmatch(module) or keyword.iskeyword(module):
        raise UserError(
            f"{module!r} cannot be the name of a method's file; it takes lower-case words joined by"
            " underscores, such as my_method"
        )
    if module.startswith("test_"):
        raise UserError(f"{module!r} looks like a test, and is not searched for methods; rename it")
    if module in sys.stdlib_module_names or module in {"torch", "numpy", "bench", "methods"}:
        raise UserError(f"{module!r} is the name of a module that Python needs; choose another one")
