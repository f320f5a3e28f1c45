"""The house: data flows one way, and every file says what it is for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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
