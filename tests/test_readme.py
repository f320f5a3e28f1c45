"""What the README says is so."""

import re
import shlex
from pathlib import Path

import pytest

from bench.plugins.registry import built_in_methods
from tests.command import call, parse

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
    return tmp_path


def test_every_command_it_shows_runs_in_this_order(folder: Path, small_recipe: Path):
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        if words[0] == "run":
            words = [*_without_episodes(words), "--episodes", "4"]
        if words[0] == "train":
            words = [*_without_episodes(words), "--recipe", str(small_recipe)]
        status, said = call(*words)
        assert status == 0, f"{line}\n{said}"


@pytest.mark.parametrize("line", TEMPLATES)
def test_every_command_with_a_place_of_the_readers_is_known(line: str):
    parse(shlex.split(line)[1:])


def test_its_python_runs(folder: Path):
    (code,) = (text for kind, text in BLOCKS if kind == "python" and "@register" not in text)
    assert len([line for line in code.splitlines() if line]) <= 5
    exec(code.replace("episodes=500", "episodes=4"), {})  # noqa: S102 - our own README
    assert (folder / "differences.svg").stat().st_size > 0


def _without_episodes(words: list[str]) -> list[str]:
    """The same run on the number of episodes that a test has time for."""
    if "--episodes" not in words:
        return words
    place = words.index("--episodes")
    return words[:place] + words[place + 2 :]


def test_every_file_it_links_to_is_there():
    for link in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / link).exists(), link


def test_its_two_commands_are_what_ci_runs():
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m pip install tox && tox run -e tests" in README
    assert "python3 -m pip install tox && tox run -e tests" in script


def test_its_table_is_part_of_what_the_command_above_it_prints():
    listed = re.search(r"^methods = (.*)$", (ROOT / "tox.ini").read_text(), flags=re.MULTILINE)
    shown = set(re.findall(r"^\| ([a-z+-]+) ", README, flags=re.MULTILINE)) - {"method"}
    assert len(shown) > 10
    assert shown <= (set(listed[1].split(",")) if listed else set(built_in_methods()))
