"""Pages that are generated: one for each method, the commands, and the modules of Python."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

import bench
import episodes
from bench.__main__ import app
from bench.conformance.parity import ParityResult, check
from bench.method import ConfiguredMethod, Method
from bench.plugins.registry import built_in_methods
from bench.reference import REPRODUCTIONS

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
RUNS = ROOT / "results" / "runs"
if TYPE_CHECKING:
    from bench.comparison.row import Row

PUBLIC = ("bench.api", "bench.method", "bench.backbone", "bench.reference")
"""Modules that people write against."""
WIDE = {"COLUMNS": "96"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of methods and packages into the navigation."""
    methods: list[Any] = [{"Overview": "methods/index.md"}]
    methods += [{name: f"methods/{name}.md"} for name in sorted(families())]
    packages: list[Any] = [{name: path} for name, path in package_pages().items()]
    sections = {
        "methods/index.md": {"Methods": methods},
        "reference/bench.md": {"Packages": packages},
    }
    config.nav = [sections.get(one, one) if isinstance(one, str) else one for one in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated."""
    pages = {"methods/index.md": methods_page(), "reference/commands.md": commands_page()}
    pages["results.md"] = results_page()
    pages["reference/python.md"] = python_page()
    pages |= {path: package_page(name) for name, path in package_pages().items()}
    pages |= {f"methods/{name}.md": method_page(name) for name in families()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead from the committed results, to which links lead on GitHub, to their page here."""
    return re.sub(r"\]\(((?:\.\./)*)\.\./results/README\.md", r"](\1results.md", markdown)


@cache
def families() -> Mapping[str, list[ConfiguredMethod]]:
    """Class's name -> the method and its variants."""
    found: defaultdict[str, list[ConfiguredMethod]] = defaultdict(list)
    for entry in built_in_methods().values():
        if entry.cls.__module__.startswith("methods."):  # no plugin of this process
            found[entry.cls.name].append(entry)
    return dict(found)


def methods_page() -> str:
    """All methods with what they need, linked to their pages."""
    lines = [
        f"| [{entry.name}]({name}.md) | {entry.cls.needs} | {entry.cls.sees} |"
        f" {'yes' if entry.cls.order_aware else 'no'} | {_cell(entry.cls.source)} |"
        for name, entries in sorted(families().items())
        for entry in entries
    ]
    return "\n".join(
        [
            "# Methods\n",
            "Every page here is generated from what the method declares in its file."
            " `fvbench list methods` prints the same on a terminal.\n",
            "| method | needs | sees | knows the order of frames | source |",
            "|---|---|---|---|---|",
            *lines,
        ]
    )


def method_page(name: str) -> str:
    """What a method computes, where it is from, how it differs, and how that was checked."""
    entries = families()[name]
    cls = entries[0].cls
    parts = [
        f"# {name}\n",
        inspect.cleandoc(cls.__doc__ or ""),
        "## Source\n",
        f"{cls.source}\n\nDiffers from it: {cls.differs}.",
        "## What it looks at\n",
        _declarations(cls),
        "## Settings\n",
        _settings(cls),
        _variants(entries),
        "## Parity with its authors' code\n",
        _parity(cls),
        _results([entry.name for entry in entries]),
        "## Try it\n",
        f"```sh\nfvbench run --methods {name},protonet --episodes 500 --out results/local/try\n"
        f"fvbench check-method {name}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _declarations(cls: type[Method]) -> str:
    said = {
        "needs": cls.needs,
        "sees": cls.sees,
        "knows the order of frames": "yes" if cls.order_aware else "no",
        "frames": cls.sampling,
        "pretraining of its own": cls.pretraining,
        "revision": cls.revision,
        "file": f"`methods/{Path(inspect.getfile(cls)).name}`",
    }
    return "\n".join(
        ["| declares | |", "|---|---|", *(f"| {key} | {one} |" for key, one in said.items())]
    )


def _settings(cls: type[Method]) -> str:
    said = _attribute_docs(cls.Settings)
    rows = [
        f"| `{one.name}` | `{one.default!r}` | {_cell(said.get(one.name, ''))} |"
        for one in fields(cls.Settings)
    ]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows]) if rows else "None."


def _attribute_docs(cls: type) -> dict[str, str]:
    """What stands in quotes below each field of a dataclass, of those it derives from too."""
    docs: dict[str, str] = {}
    for one in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                docs[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(text.value))
    return docs


def _variants(entries: list[ConfiguredMethod]) -> str:
    changed = entries[0].cls.variants
    if not changed:
        return ""
    rows = [
        f"| `{name}` | {', '.join(f'`{key}={value!r}`' for key, value in settings.items())} |"
        for name, settings in changed.items()
    ]
    return "\n".join(["## Variants\n", "| name | settings that differ |", "|---|---|", *rows])


@cache
def parity() -> Mapping[str, list[ParityResult]]:
    """Name of the file that reproduces them -> outputs of authors' code, each with its check."""
    found: defaultdict[str, list[ParityResult]] = defaultdict(list)
    for path in sorted(GOLDEN.glob("*.npz")):
        with np.load(path) as arrays:
            for result in check(path):
                found[_reproducing(arrays, result.output)].append(result)
    return dict(found)


def _reproducing(arrays: Any, output: str) -> str:
    """Name of the module that knows an output."""
    for way in REPRODUCTIONS:
        if way.fits(arrays, output) and way.compute is not None:
            return way.compute.__module__.rpartition(".")[2]
    return ""


def _parity(cls: type[Method]) -> str:
    results = parity().get(cls.__module__.rpartition(".")[2], [])
    if not results:
        return "There is no reference output of authors' code for it."
    rows = [
        f"| {Path(one.file).name} | {one.output} | {one.difference:.1e} | {one.tolerance:.0e} |"
        f" {one.status} |"
        for one in results
        if one.difference is not None
    ]
    head = (
        "Largest absolute difference to the outputs of the authors' code, methods of the same file:"
    )
    table = ["| reference file | output | difference | allowed | |", "|---|---|---|---|---|", *rows]
    return "\n".join(
        [head, "", *table, "", "`fvbench parity tests/golden/*.npz` checks all again."]
    )


def _results(names: list[str]) -> str:
    """Accuracies of committed runs, where there are some."""
    from bench.comparison.frame import ends, half

    rows = [
        f"| {row.bank} | {row.title} | {row.trained_words} | {100 * row.accuracy:.1f} |"
        f" {ends(row.intervals[row.widest])} | {half(row.interval)} |"
        for row in committed()
        if row.method in names
    ]
    head = [
        "## Results\n",
        "| bank | method | trained | accuracy % | interval | ± over episodes |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) if rows else ""


@cache
def committed() -> "list[Row]":
    """What the committed runs amount to."""
    from bench.comparison.summary import compare
    from bench.runs.directory import find_runs, read_run

    if not RUNS.is_dir():
        return []
    return [
        row for one in compare([read_run(path) for path in find_runs(RUNS)]) for row in one.rows
    ]


def commands_page() -> str:
    """The help text of every command."""
    parts = ["# Commands\n", "As `--help` prints them.\n"]
    for path in _commands(typer.main.get_command(app), ()):
        said = CliRunner().invoke(app, [*path, "--help"], prog_name="fvbench", env=WIDE).output
        parts.append(f"## fvbench {' '.join(path)}\n\n```text\n{said.strip()}\n```\n")
    return "\n".join(parts)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    children: Mapping[str, Any] = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in sorted(children.items()):
        yield from _commands(child, (*path, name))


def results_page() -> str:
    """The page of committed results, with its links as they are from here."""
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    return text.replace("](../docs/", "](")


def python_page() -> str:
    """What is used from notebooks, and what methods and backbones answer to, from docstrings."""
    return "\n".join(
        [
            "# Python\n",
            "From the docstrings; [use from Python](../tutorial/python.md) shows how to begin.\n",
            *(f"::: {name}\n" for name in PUBLIC),
        ]
    )


@cache
def package_pages() -> Mapping[str, str]:
    """Package -> the page with its modules."""
    packages = dict.fromkeys(_package(name) for name in _modules())
    return {name: f"reference/{name}.md" for name in packages}


def package_page(package: str) -> str:
    """The modules of a package, those below packages of their own not among them."""
    own = [name for name in _modules() if _package(name) == package]
    return "\n".join([f"# {package}\n", *(f"::: {name}\n" for name in own)])


def _package(module: str) -> str:
    """The package that a module is in, or that it is."""
    is_package = hasattr(importlib.import_module(module), "__path__")
    return module if is_package else module.rpartition(".")[0]


@cache
def _modules() -> list[str]:
    """All modules that have a place in the reference, but those of `PUBLIC`."""
    hidden = ("commands", "conformance", "__main__")
    return [
        found.name
        for package in (bench, episodes)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not any(part.startswith("_") or part in hidden for part in found.name.split("."))
        and found.name not in PUBLIC
    ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
