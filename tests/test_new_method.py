"""A new method: written, checked, tested, run and listed outside the clone; and broken plugins."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.method import REGISTRY
from tests.command import call, fvbench, pytest_in_a_copy, refused, succeeds

pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def new(folder: Path, name: str = "my_method") -> Path:
    succeeds("new-method", name, "--into", folder)
    return folder


def test_what_is_written_keeps_the_rules_and_what_comes_next(tmp_path: Path):
    status, said = call("new-method", "my_method", "--into", tmp_path / "deep" / "er")
    file = tmp_path / "deep" / "er" / "my_method.py"
    assert status == 0
    assert file.with_name("test_my_method.py").is_file()
    assert said.splitlines()[2:] == [
        f"  fvbench check-method {file}",
        f"  fvbench run --plugin {file} --methods my-method,protonet --out results/local/my-method",
        "  fvbench tables results/local/my-method",
    ]
    status, said = call("check-method", file)
    assert (status, said.split(",")[0]) == (0, "my-method: ok")


@pytest.mark.parametrize("name", ["a2_b3_c4", "with-hyphen"])
def test_what_is_written_is_in_style(name: str, tmp_path: Path):
    folder = new(tmp_path, name)
    for arguments in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--line-length", "100"]
        done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
        if "No module named ruff" in done.stderr:
            pytest.skip("ruff is not installed here")
        assert done.returncode == 0, done.stdout


def test_its_test_passes_and_fails_outside_the_clone(tmp_path: Path):
    new(tmp_path, "sound")
    spoil(tmp_path, ("query.mean(dim=2)", "query[:, :, -1]"))
    status, said = pytest_in_a_copy(tmp_path)
    assert status == 1
    assert re.search(r"1 failed, \d+ passed", said)
    assert "it declares order_aware = False, but" in said
    assert "FAILED test_my_method.py" in said


def test_a_new_method_is_listed_runs_and_stands_in_the_table(tmp_path: Path):
    folder, out = new(tmp_path / "mine"), tmp_path / "out"
    listed = json.loads(call("list", "methods", "--plugin", folder, "--json")[1])
    mine = {method["name"]: method for method in listed}["my-method"]
    assert (mine["revision"], mine["needs"], mine["order_aware"]) == (1, "frames", False)
    words = ("--methods", "my-method,protonet", "--episodes", "4", "--out", out)
    status, table = call("run", "--plugin", folder, *words)
    assert (status, "my-method" in table, "protonet" in table) == (0, True, True)
    assert pd.read_parquet(out / "my-method" / "rows.parquet")["episode"].nunique() == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("protonet", "there is a method called protonet already"),
        ("otam_hard", "there is a method called otam-hard already"),
        ("My_method", "lower-case words"),
        ("my__method", "lower-case words"),
        ("2fast", "lower-case words joined by underscores, such as my_method"),
        ("../evil", "lower-case words"),
        ("class", "lower-case words"),
        ("test_it", "looks like a test"),
        ("random", "the name of a module that Python needs"),
        ("episodes", "the name of a module that Python needs"),
        ("pandas", "the name of a module that Python needs"),
    ],
)
def test_a_name_that_does_not_do(name: str, words: str, tmp_path: Path):
    said = refused("new-method", name, "--into", tmp_path)
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["my_method.py", "test_my_method.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path):
    (tmp_path / there).write_text("mine")
    said = refused("new-method", "my_method", "--into", tmp_path)
    assert f"{there} is there already, and nothing is overwritten" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_none(tmp_path: Path):
    (tmp_path / "file").write_text("")
    status, said = call("new-method", "my_method", "--into", tmp_path / "file")
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: cannot write to {tmp_path / 'file'}: ")


# ---- Plugins that are not as they should be: one line each, and the others still work.

COLLIDING = ('name = "my-method"', 'name = "protonet"')
UNDECLARED = ('    differs = "nothing"', "    # differs = ")
IMPORTING = ("from torch import Tensor", "import absent_module\nfrom torch import Tensor")
MISSPELT = ("class MyMethod(Method):", "class MyMethod(Method)")
LEAVING = ("@register", "raise SystemExit('bye')\n@register")
WITH_VARIANT = ("    def encode", '    variants = {"mine": {"size": 1}}\n\n    def encode')
UNWRITABLE = (
    "    def encode",
    "    @__import__('dataclasses').dataclass(frozen=True)\n    class Settings:\n"
    "        place: object = __import__('pathlib').Path('x')\n\n    def encode",
)
MISDECLARED = ('needs = "frames"', 'needs = "frame"')
BROKEN = [
    (COLLIDING, "two methods are called protonet: methods.protonet.ProtoNet and .*; rename one"),
    (UNDECLARED, "method class MyMethod does not declare differs; every method declares"),
    (IMPORTING, "cannot be loaded: ModuleNotFoundError: No module named 'absent_module'"),
    (MISSPELT, "cannot be loaded: SyntaxError: expected ':'"),
    (LEAVING, "cannot be loaded: SystemExit: bye"),
    (WITH_VARIANT, "variant mine sets size, which MyMethod.Settings does not have"),
    (MISDECLARED, "needs of MyMethod is 'frame'; it is one of maps, frames, vector"),
    (UNWRITABLE, "setting place of method my-method cannot be written into run.json: .*JSON"),
]


def spoil(folder: Path, change: tuple[str, str], name: str = "my_method") -> Path:
    """Change the text of a new method; return its file."""
    file = new(folder, name) / f"{name}.py"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change, 1))
    return file


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_a_broken_file_that_was_named_is_an_error(
    change: tuple[str, str], words: str, tmp_path: Path
):
    file = spoil(tmp_path, change)
    for command in (
        ("list", "methods", "--plugin", file),
        ("check-method", file),
        ("run", "--plugin", file, "--out", tmp_path / "out"),
    ):
        said = refused(*command)
        assert said.count("\n") == 1
        assert said.startswith(f"error: plugin {file}")
        assert re.search(words, said)
    assert "my-method" not in REGISTRY


def test_broken_files_in_a_folder_are_left_out_on_stderr_and_do_not_stop_the_others(tmp_path: Path):
    file = spoil(tmp_path, IMPORTING)
    colliding = spoil(tmp_path, ('name = "other"', 'name = "protonet"'), "other")
    new(tmp_path, "sound")
    finished = fvbench("list", "methods", "--plugin", tmp_path, "--json")
    assert finished.returncode == 0
    names = {one["name"] for one in json.loads(finished.stdout)}
    assert "sound" in names
    assert names.isdisjoint({"my-method", "other"})
    lines = finished.stderr.splitlines()
    for line, path, (_, words) in zip(
        lines, (file, colliding), (BROKEN[2], BROKEN[0]), strict=True
    ):
        assert f"left out: plugin {path}" in line
        assert re.search(words, line)


def test_what_a_file_registered_before_it_failed_is_taken_back(tmp_path: Path):
    file = new(tmp_path) / "my_method.py"
    file.write_text(file.read_text() + "\nraise ValueError('too late')\n")
    said = succeeds("list", "methods", "--plugin", tmp_path, "--json")
    assert "left out: " in said
    assert "my-method" not in REGISTRY


def test_two_plugins_of_one_name(tmp_path: Path):
    one, other = new(tmp_path / "one"), new(tmp_path / "other")
    said = refused("list", "methods", "--plugin", one, "--plugin", other / "my_method.py")
    assert "two methods are called my-method" in said
