"""The house: a few rooms with their doors, in which data flows one way.

A room is a folder with ``__init__.py`` directly below `bench`, `episodes` or `methods`, with
everything below it; what stands loose in one of these packages is a room too.
``python -m tests.test_architecture`` prints what each room imports.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bench.method import ConfiguredMethod
from bench.plugins.registry import built_in_methods

ROOT = Path(__file__).parents[1]
PACKAGES = ("episodes", "methods", "bench")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DOORS = {"bench.api": "bench.commands", "bench.__main__": "bench.commands"}
"""Modules that stand loose because people import or start them, and are at the top all the same."""
CONTRACTS = {"bench.method", "bench.backbone", "bench.pretrained", "bench.reference"}
"""All that a method or a backbone may know of the harness."""
MOST_ROOMS = 26
MOST_ARROWS = 130


def module_of(path: Path) -> str:
    """The name under which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path) for path in FILES}


def room_of(module: str) -> str:
    """The room in which a module stands."""
    package, _, rest = module.partition(".")
    inner = rest.partition(".")[0]
    is_room = (ROOT / package / inner / "__init__.py").is_file()
    return DOORS.get(module, f"{package}.{inner}" if inner and is_room else package)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (whole & MODULES) or {node.module}
    return names


@cache
def arrows() -> dict[str, set[str]]:
    """Every room with the rooms that it imports.

    `bench.__init__` hands on names of `bench.api` when they are asked for, and imports nothing.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        module = module_of(path)
        if module != "bench":
            own = {name for name in imported(path) if name.partition(".")[0] in PACKAGES}
            found[room_of(module)] |= {room_of(name) for name in own}
    return {room: targets - {room} for room, targets in found.items()}


def test_rooms_are_few_and_data_flows_one_way():
    rooms = arrows()
    assert len(rooms) <= MOST_ROOMS
    assert sum(map(len, rooms.values())) < MOST_ARROWS
    tuple(TopologicalSorter(rooms).static_order())  # raises where rooms import one another


def test_no_files_import_one_another():
    """Not for the sake of types either; `bench.__init__` hands on names of `bench.api`."""
    files = {module_of(path): imported(path) & MODULES for path in FILES}
    files["bench"] = set()
    tuple(TopologicalSorter(files).static_order())  # raises where files import one another


def test_a_room_imports_what_it_says():
    """In words: names of rooms, "nothing", "everything", "episodes and its rooms".

    What is named by itself is imported, too.
    """
    for room, targets in arrows().items():
        door = ROOT / room.replace(".", "/") / "__init__.py"
        said = " ".join((ast.get_docstring(tree(door)) or "").split())
        assert "May import: " in said, f"{door} does not say what it may import"
        allowed = said.partition("May import: ")[2]
        named = set(re.findall(r"[a-z]+(?:\.[a-z]+)*", allowed))
        whole = set(re.findall(r"(\w+) and (?:all of )?its rooms", allowed))
        within = {other for other in arrows() if other.partition(".")[0] in whole}
        not_these = set(re.findall(r"but ([a-z.]+[a-z])", allowed))
        if "everything" not in named:
            assert (named & arrows().keys()) - within - not_these == targets - within, room
            assert not targets & not_these, room


@pytest.mark.parametrize(
    ("inner", "others"),
    [
        ("bench.comparison.gate", set()),
        ("bench.report.cases", {"bench.report.charts.style"}),
        ("bench.report.charts", {"bench.report.cases.rebuilding"}),
    ],
)
def test_a_room_within_a_room_takes_from_that_what_it_says(inner: str, others: set[str]):
    whole = inner.rpartition(".")[0]
    used = {name for path in FILES if module_of(path).startswith(inner) for name in imported(path)}
    assert {one for one in used if one.startswith(whole) and not one.startswith(inner)} == others


def test_the_picture_of_the_house_shows_its_rooms():
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    lines = [line.split("│")[1:-1] for line in picture.splitlines()]
    boxes = {cell.split()[0] for cells in lines for cell in cells if cell.strip()}
    rooms = {room.rpartition(".")[2] for room in arrows()}
    assert boxes <= rooms <= set(re.findall("[a-z]+", picture))


def test_nothing_stands_loose_in_the_harness_but_what_outsiders_import():
    loose = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__", "__main__", "api"}
    assert {f"bench.{name}" for name in loose} == CONTRACTS | {"bench.settings"}


def test_nothing_is_imported_against_the_flow():
    wrong = {}
    for path in FILES:
        package, used = path.relative_to(ROOT).parts[0], imported(path)
        harness = {name for name in used if name.split(".")[0] == "bench"}
        below = {name for name in used if name.startswith("episodes.") and "errors" not in name}
        above = {name for name in used if name.split(".")[0] in {"methods", "torch"}}
        wrong[path] = {
            "episodes": harness | above,
            "methods": (harness - CONTRACTS) | below,
            "bench": set(),
        }[package]
    assert {path: names for path, names in wrong.items() if names} == {}


def test_every_file_says_what_it_is_for():
    assert [one for one in FILES if not ast.get_docstring(tree(one))] == []


SLOW = ("pandas", "pyarrow", "scipy", "matplotlib", "PIL", "av", "decord", "pydantic", "rich")
HELP = """
from bench.__main__ import app
try:
    app(["--help"])
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("code", "slow", "most"),
    [
        (f"import bench\n{HELP}", {"torch", *SLOW}, 1),
        # What every command needs that reads runs, and draws or shows nothing.
        ("import bench.commands.arguments, bench.comparison.tables", {"scipy.stats", "torch"}, 4),
    ],
    ids=["help", "tables"],
)
def test_commands_do_not_wait_for_what_they_do_not_need(code: str, slow: set[str], most: int):
    """Nor take long to start: seconds of the processor, several times what was measured."""
    code += f"\nimport sys, time; print(time.process_time(), *({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *loaded = done.stdout.splitlines()[-1].split()
    assert loaded == []
    assert float(seconds) < most


def test_the_page_lists_every_method_as_it_is():
    """File -> names as registered, and whether a faster form has a gain: `docs/performance.md`."""
    page = (ROOT / "docs" / "performance.md").read_text()
    said = re.findall(r"^\| `(\w+)\.py` \| ([^|]*) \| ([^|]*)\|$", page, re.MULTILINE)
    found: dict[str, list[ConfiguredMethod]] = defaultdict(list)
    for _, entry in sorted(built_in_methods().items()):
        found[entry.cls.__module__.removeprefix("methods.")].append(entry)
    assert {file: (names, bool(gain.strip())) for file, names, gain in said} == {
        file: (", ".join(one.name for one in entries), any(one.fast for one in entries))
        for file, entries in found.items()
    }


if __name__ == "__main__":
    house = arrows()
    print(len(house), "rooms,", sum(map(len, house.values())), "arrows")  # noqa: T201
    for room in TopologicalSorter(house).static_order():
        print(room, "imports", ", ".join(sorted(house[room])) or "nothing")  # noqa: T201
