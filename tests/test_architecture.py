"""The house: data flows one way, and every file says what it is for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.method import Entry
from bench.plugins.registry import built_in_methods

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for folder in ("episodes", "methods", "bench") for path in (ROOT / folder).rglob("*.py")
)
ALLOWED_OF_BENCH = {"bench.method", "bench.backbone", "bench.pretrained", "bench.reference"}
"""The contracts: all that a method or a backbone may know of the harness."""


def imported(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_against_the_flow(path: Path):
    folder = path.relative_to(ROOT).parts[0]
    used = imported(path)
    if folder == "episodes":
        assert not [name for name in used if name.split(".")[0] in {"methods", "bench", "torch"}]
    if folder == "methods":
        of_bench = {name for name in used if name.split(".")[0] == "bench"}
        assert of_bench <= ALLOWED_OF_BENCH
        assert not [name for name in used if name.startswith("episodes.") and "errors" not in name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert path.stem not in {"utils", "common", "helpers", "misc"}


def test_help_does_not_wait_for_torch():
    slow = {"torch", "pandas", "decord"}
    code = f"import sys, bench.__main__; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_lists_every_method_as_it_is():
    """Names and quicker forms as registered, lines within a tenth: `docs/architecture.md`."""
    rows = {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if line.startswith("| `") and line.count("|") == 6:
            file, *cells = (cell.strip() for cell in line.split("|")[1:-1])
            rows[file.strip("`")] = cells
    registered: dict[str, list[Entry]] = {}
    for entry in built_in_methods().values():
        file = entry.cls.__module__.removeprefix("methods.") + ".py"
        registered.setdefault(file, []).append(entry)
    assert rows.keys() == registered.keys()
    for file, entries in registered.items():
        lines, names, fast, gain = rows[file]
        assert names == ", ".join(sorted(entry.name for entry in entries))
        assert int(lines) == pytest.approx(length("methods", file), rel=0.1), file
        forms = {entry.fast.__module__.split(".")[-1] + ".py" for entry in entries if entry.fast}
        assert bool(gain) == bool(forms), file
        if file in forms:
            assert int(fast) == pytest.approx(length("methods", "fast", file), rel=0.1), file
        else:
            assert fast == ", ".join(f"in `{other}`" for other in forms), file


def length(*path: str) -> int:
    return len(ROOT.joinpath(*path).read_text().splitlines())
