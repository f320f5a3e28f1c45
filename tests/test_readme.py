"""What the README says is so."""

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from bench.comparison.summary import compare
from bench.comparison.tables import render
from bench.method import FeatureShape
from bench.plugins.registry import DEFAULT_TABLE, built_in_methods
from bench.runs.directory import read_run
from tests.command import EPISODES, call, parse, shortened
from tests.outside_package import plugins_as_they_were

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
LINES = [
    (kind, line) for kind, text in BLOCKS for line in text.splitlines() if line[:8] == "fvbench "
]
COMMANDS = [line for kind, line in LINES if not kind]
TEMPLATES = [line for kind, line in LINES if kind == "sh"]
"""With places that only a reader has: PATH/TO/FOLDER."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader is: in a clone, with the README's method saved in a file."""
    (code,) = (text for kind, text in BLOCKS if kind == "python" and "@register" in text)
    (tmp_path / "my_folder").mkdir()
    (tmp_path / "my_folder" / "last_frames.py").write_text(code)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVBENCH_EPISODES", EPISODES)
    return tmp_path


@pytest.mark.usefixtures("folder", "without_charts")
def test_every_command_it_shows_runs_in_this_order(small_recipe: Path):
    with plugins_as_they_were():
        for line in COMMANDS:
            words = shortened(line)
            if words[0] == "train":
                place = words.index("--episodes")
                words[place : place + 2] = ["--recipe", str(small_recipe)]
            status, said = call(*words)
            assert status == 0, f"{line}\n{said}"


def test_every_command_with_a_place_of_the_readers_is_known():
    for line in TEMPLATES:
        parse(shlex.split(line)[1:])


def test_its_python_runs(folder: Path):
    (code,) = (text for kind, text in BLOCKS if kind == "python" and "@register" not in text)
    shorter = re.sub(r"episodes=\d+", f"episodes={EPISODES}", code)
    exec(shorter, {})  # noqa: S102 - our own README
    assert (folder / "differences.svg").stat().st_size > 0


def test_its_two_commands_are_what_ci_runs():
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m pip install tox && tox run -e tests" in README
    assert "python3 -m pip install tox && tox run -e tests" in script


COMMITTED = ROOT / "results"
UNTRAINED = ("protonet", "protonet-cosine", "otam", "chance")
TRAINED = ("chamfer++", "mastaf")
"""Methods of its table; the latter with the weights that come with the program."""


def test_its_table_is_part_of_what_the_committed_rows_give():
    """The command above the table takes minutes; the same rows are committed."""
    folders = [COMMITTED / "runs" / "untrained" / name for name in UNTRAINED]
    folders += [COMMITTED / "runs" / "frozen" / "seed-0" / name for name in TRAINED]
    order = COMMITTED / "real" / "motion" / "default-order"
    folders += [order / name for name in (*UNTRAINED, *TRAINED)]
    printed = cells(render(compare([read_run(folder) for folder in folders]), "markdown"))
    shown = cells(README)
    place = [printed[0].index(title) for title in shown[0]]
    assert shown == [[line[one] for one in place] for line in printed]


def cells(text: str) -> list[list[str]]:
    """Lines of the first table, cell by cell, but for the rule below the titles."""
    lines = [line.strip("|\n") for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [line for line in found if not set("".join(line)) <= {":", "-"}]


def test_its_methods_are_run_by_the_command_above_its_table():
    assert {*UNTRAINED, *TRAINED} <= DEFAULT_TABLE
    assert f"evaluates {len(DEFAULT_TABLE)} methods" in README


def test_what_it_says_of_the_tie_is_in_the_committed_rows():
    def answers(place: str) -> np.ndarray:
        return read_run(COMMITTED / "runs" / place).rows["prediction"].to_numpy()

    mean = answers("untrained/protonet-cosine")
    assert np.array_equal(mean, answers("untrained/matching-networks"))
    changed = [
        int((mean != answers(f"frozen/seed-0/{name}")).sum()) for name in ("mastaf", "mastaf-nores")
    ]
    assert [f"{count:,}" for count in changed] == re.findall(r"changes ([\d,]*\d)", README)
    sides = math.prod(built_in_methods()["mastaf"].build(FeatureShape(96, 8, 6, 6), 0).grid)
    assert f"its {sides} positions" in README
