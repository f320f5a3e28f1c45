"""What strangers build on: the release, the workflows, the action and the image."""

import json
import os
import re
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from bench import __version__
from tests.command import call, parse

ROOT = Path(__file__).parents[1]
TOX = (ROOT / "tox.ini").read_text()
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
PROJECT = (ROOT / "pyproject.toml").read_text()


def pythons() -> set[str]:
    """Versions of Python that have an environment for their tests."""
    (minors,) = re.findall(r"^\[testenv:py3\{([\d,]+)\}\]", TOX, re.MULTILINE)
    return {f"3.{minor}" for minor in minors.split(",")}


def test_the_version_is_the_same_wherever_it_stands():
    (newest, *_) = re.findall(
        r"^## (\d\S*), \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert newest == __version__ == citation["version"] == citation["preferred-citation"]["version"]
    assert citation["license"] == "Apache-2.0"
    assert f"## {newest}, {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()
    assert 'version = { attr = "bench.__version__" }' in PROJECT


def test_every_version_of_python_that_is_promised_is_tested():
    promised = set(re.findall(r"Python :: (3\.\d+)", PROJECT))
    on_linux = {
        one["python"]
        for one in CI["jobs"]["tests"]["strategy"]["matrix"]["include"]
        if one["os"].startswith("ubuntu")
    }
    assert promised == on_linux == pythons()
    systems = {one["os"] for one in CI["jobs"]["tests"]["strategy"]["matrix"]["include"]}
    assert systems == {"ubuntu-latest", "macos-latest"}


def test_results_that_environments_read_are_there():
    read = set(re.findall(r" (results/(?!local)[\w/.-]+)", TOX))
    assert "results/weights/heads" in read
    assert [path for path in read if not (ROOT / path).exists()] == []


def test_workflows_run_environments_that_there_are():
    known = set(re.findall(r"^\[testenv:([\w-]+)\]", TOX, re.MULTILINE))
    known |= {f"py{one.replace('.', '')}" for one in pythons()}
    named = {one["environment"] for one in CI["jobs"]["tests"]["strategy"]["matrix"]["include"]}
    for job in CI["jobs"].values():
        for step in job["steps"]:
            for words in re.findall(r"tox run -e ([\w,-]+)", step.get("run", "")):
                named |= set(words.split(","))
    assert named <= known
    assert {"lint", "workflows", "package", "docs", "browser"} <= named


def test_the_image_runs_the_main_job():
    (command,) = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    words = json.loads(command)
    parse(words)
    (main,) = re.findall(r"^\[testenv:bench\]\n(?:.*\n)+?    fvbench (.*)$", TOX, re.MULTILINE)
    place = words.index("--out") + 1
    assert words[:place] == main.split()[:place]


def test_hooks_before_a_commit_have_the_versions_of_ci():
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    named = {one for hook in hooks for one in hook["additional_dependencies"]}
    assert named <= set(pinned)


def script(step: str) -> str:
    return next(one["run"] for one in ACTION["runs"]["steps"] if one.get("name") == step)


COMMAND = """#!/usr/bin/env -S python3 -S
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(os.environ["SERVER"])
    with asked.makefile("rw") as file:
        print(json.dumps(sys.argv[1:]), file=file, flush=True)
        status, said = json.loads(file.readline())
sys.stdout.write(said)
sys.exit(status)
"""
"""A command ``fvbench`` that this process runs: a new one would import everything once more."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of somebody else, with the command on the path."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "fvbench"
    command.write_text(COMMAND)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, **inputs: str) -> int:
    """Run a step of the action; return its status."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{name}.socket")
        server.listen()
        server.settimeout(0.01)
        step = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script(name)],
            env=os.environ | {"SERVER": f"{name}.socket"} | inputs,
        )
        while step.poll() is None:
            with suppress(TimeoutError):
                asked, _ = server.accept()
                with asked, asked.makefile("rw") as file:
                    print(json.dumps(call(*json.loads(file.readline()))), file=file)
        return step.returncode


def test_the_action_evaluates_gates_and_writes_its_comment(repository: Path):
    few = ("--episodes", "2", "--methods", "chance")
    assert call("run", *few, "--out", repository / "baseline")[0] == 0
    asked = {"METHODS": "chance", "PLUGIN": "", "BANK": "default", "EPISODES": "2"}
    assert run("evaluate", **asked) == 0
    (runs,) = re.findall(r"^runs=(.+)$", (repository / "GITHUB_OUTPUT").read_text(), re.MULTILINE)
    assert "| chance" in (repository / "GITHUB_STEP_SUMMARY").read_text()

    assert run("gate", BASELINE="baseline", DROP="0.005", OUT=runs) == 0
    said = (repository / "GITHUB_OUTPUT").read_text()
    status = re.findall(r"^status=(\d)$", said, re.MULTILINE)
    assert len(status) == 1
    comment = Path(runs, "comment.md").read_text()
    assert "### Few-shot video methods on default" in comment
    assert "chance" in comment.partition("Against `baseline`")[2]
    assert run("verdict", STATUS="1") == 1


@pytest.mark.parametrize("status", [0, 1])
def test_a_comment_that_may_not_be_written_does_not_keep_the_verdict_back(
    repository: Path, capfd: pytest.CaptureFixture[str], status: int
):
    github = repository / "bin" / "gh"
    github.write_text(f"#!/bin/sh\nexit {status}\n")
    github.chmod(0o755)
    assert run("comment", NUMBER="1", GITHUB_REPOSITORY="one/two", OUT=str(repository)) == 0
    assert ("::warning" in capfd.readouterr().out) == bool(status)


def test_the_action_puts_no_input_into_a_script():
    """A branch may be called anything: what comes from outside goes through the environment."""
    for one in ACTION["runs"]["steps"]:
        assert "${{" not in one.get("run", "")
