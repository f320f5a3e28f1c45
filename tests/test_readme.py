"""What the README says is so."""

import re
import shlex
from pathlib import Path

import pytest

from bench.registry import built_in_methods
from tests.command import call

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line for kind, text in BLOCKS if not kind for line in text.splitlines() if line[:7] == "fvbench"
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's method has been saved, as its reader would."""
    folder = tmp_path_factory.mktemp("reader")
    (code,) = (text for kind, text in BLOCKS if kind == "python")
    (folder / "my_folder").mkdir()
    (folder / "my_folder" / "last_frames.py").write_text(code)
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_it_shows_runs(
    line: str, folder: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    words = shlex.split(line)[1:]
    if words[0] == "tables":
        call("run", "--methods", "protonet,otam", "--episodes", "4", "--out", words[1])
    if words[0] == "run":
        words = [*_without_episodes(words), "--episodes", "4"]
    if words[0] == "train":
        words = [*_without_episodes(words), "--recipe", str(small_recipe)]
    status, said = call(*words)
    assert status == 0, said


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
