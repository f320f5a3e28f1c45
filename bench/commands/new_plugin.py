"""``fvbench new-method`` and ``fvbench new-backbone``: a first version that works, and its test."""

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
from typing import Annotated, Literal

import typer

from episodes.errors import UserError

Name = Annotated[str, typer.Argument(help="Lower-case words joined by underscores.")]
Into = Annotated[Path, typer.Option(help="Folder to write to.")]
MODULE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
TEMPLATES = files("bench") / "templates"
TEMPLATE_FILES = {
    "method": ("method.txt", "its_test.txt"),
    "backbone": ("backbone.txt", "backbone_test.txt"),
}
"""Kind of plugin -> templates of the plugin and of its test."""

Kind = Literal["method", "backbone"]


def new_method(name: Name, into: Into = Path()) -> None:
    """Write a new method that works as it is, and its test.

    Makes NAME.py, in which a comment says where your idea goes, and test_NAME.py, which tries the
    rules that every method keeps. Nothing is overwritten. Nothing else has to be edited: commands
    find the file by --plugin.

    exit status
      0  written; the next three commands are printed
      2  nothing written: the name is invalid or taken, or a file is there already

    Example: fvbench new-method my_method --into results/local/mine
    """
    from bench.plugins.registry import all_methods

    _write("method", name, into, all_methods())


def new_backbone(name: Name, into: Into = Path()) -> None:
    """Write a new backbone that works as it is, and its test.

    Makes NAME.py, in which a comment says where your network goes, and test_NAME.py, which tries
    the rules that every backbone keeps. Nothing is overwritten. Commands find the file by --plugin.

    exit status
      0  written; the next commands are printed
      2  nothing written: the name is invalid or taken, or a file is there already

    Example: fvbench new-backbone my_backbone --into results/local/mine
    """
    from bench.features.backbones import backbones

    _write("backbone", name, into, backbones())


def _write(kind: Kind, module: str, folder: Path, taken: Container[str]) -> None:
    """Write a first version of a plugin that works, and its test; print the commands to type next.

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
    paths = (folder / f"{module}.py", folder / f"test_{module}.py")
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
    file, out = shlex.quote(str(paths[0])), f"results/local/{name}"
    with_it = (
        f"--methods {name},protonet"
        if kind == "method"
        else f"--backbone {name} --methods protonet,otam"
    )
    typer.echo(
        f"wrote {paths[0]} and {paths[1]}; next:\n\n"
        f"  fvbench check-{kind} {file}\n"
        f"  fvbench run --plugin {file} {with_it} --out {out}\n"
        f"  fvbench tables {out}"
    )


def _check_name(kind: Kind, module: str) -> None:
    from bench.plugins.source import CATALOGUE
    from bench.plugins.syntax import HARNESS

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
