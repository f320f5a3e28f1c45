"""The other commands, and the help of all of them."""

import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.__main__ import app, main
from bench.runs.directory import RESULTS_FOLDER
from episodes.banks.recipe import FOLDER, read_recipe
from tests.command import call, parse, refused, succeeds
from tests.outside_package import plugins_as_they_were


def every_command(
    command: Any, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Words of each command that does something -> the command."""
    children = getattr(command, "commands", {})
    if not children:
        yield words, command
    for name, child in children.items():
        yield from every_command(child, (*words, name))


COMMANDS = dict(every_command(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_tells_the_exit_status_and_an_example_that_can_be_pasted(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    text = succeeds(*words, "--help")
    assert "\n  exit status\n    0  " in text
    _, found, example = text.partition("  Example: ")
    assert found
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    assert any(line.startswith(f"fvbench {' '.join(words)}") for line in lines)
    for line in lines:
        parse(shlex.split(line)[1:])


@pytest.mark.parametrize(
    "words", [(), ("bank",), ("data",), ("cache",), ("features",)], ids=" ".join
)
def test_no_command_is_described_in_half_a_sentence(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in call(*words, "--help")[1].partition("Commands:")[2]


def test_no_word_shows_the_help_and_a_version_is_told():
    assert "Commands:" in call()[1]
    assert call("--version")[1].startswith("fvbench 0.")


def test_list_shows_everything_without_a_word():
    text = call("list")[1]
    assert all(word in text for word in ("methods", "otam", "default-order", "rendered", "motion"))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones"])
def test_list_fits_the_terminal(kind: str, columns: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))
    text = call("list", kind)[1]
    assert max(map(len, text.splitlines())) <= columns
    for said in call("list", "datasets", "--json")[1].split() if kind == "datasets" else ():
        assert not said.startswith("https://") or said in text


def test_list_says_everything_of_a_dataset_in_one_place():
    lines = call("list", "datasets")[1].splitlines()
    start = lines.index("ucf101")
    assert lines[start + 1].startswith(" description: UCF101")
    assert " state: " in "\n".join(lines[start + 2 :])


def test_list_refuses_what_it_does_not_know():
    assert call("list", "cats")[0] == 2


def test_bank_show_names_the_videos_of_an_episode():
    text = succeeds("bank", "show", "default")
    assert "episode 0" in text
    assert "24 classes, 960 videos, 960 of them used" in text
    content = json.loads(call("bank", "show", "default", "--episodes", "2", "--json")[1])
    assert (content["way"], len(content["episodes_shown"])) == (5, 2)


def test_bank_verify_says_whether_it_is_equal_or_cannot_tell(tmp_path: Path):
    text = succeeds("bank", "verify", "default")
    assert text.startswith("equal: default, 10,000 episodes")
    file = tmp_path / "mine.toml"
    file.write_text((FOLDER / "default.toml").read_text().replace("seed = 0", "seed = 1"))
    status, text = call("bank", "verify", file)
    assert (status, read_recipe("default").episodes_sha256 in text) == (1, True)
    file.write_text("colour = 'blue'")
    assert call("bank", "verify", file)[0] == 2
    assert "did you mean default" in refused("bank", "verify", "defalt")


def test_doctor_finds_what_a_run_needs_and_says_how_to_get_the_rest():
    text = succeeds("doctor")
    assert "bank default: verified" in text
    assert "dataset rendered" in text
    for name, lists, source in (
        ("ucf101", "", ""),
        ("ssv2-all", " --lists FOLDER", "ssv2_OTAM"),
        ("ssv2-part", " --lists FOLDER", "ssv2_CMN"),
    ):
        (line,) = (
            one for one in text.splitlines() if f"dataset {name}: not here yet. Fetch" in one
        )
        assert f"`fvbench data add {name} --root PATH{lists}`" in line
        assert source in line


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("bench.commands.diagnosis.weights_path", lambda name: tmp_path / name)
    status, text = call("doctor")
    assert status == 1
    assert "MISS  backbone motion" in text


def test_doctor_says_which_package_is_broken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    status, text = call("doctor")
    assert status == 1
    assert "MISS  safetensors: cannot be imported" in text


def test_doctor_says_that_a_package_lacks_a_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "linked.py").write_text("raise OSError('libmissing.so.1: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("bench.machine.installation.PACKAGES", ("linked",))
    status, text = call("doctor")
    assert (status, text.count("\n")) == (1, 2)
    assert "MISS  linked: cannot be imported (libmissing.so.1: cannot open)" in text


def test_doctor_looks_further_where_decord_does_not_exist(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "decord", None)
    text = succeeds("doctor")
    assert "--    decord: cannot be imported" in text
    assert "bank default: verified" in text


def test_tables_refuses_a_folder_without_runs(tmp_path: Path):
    assert "no run here" in refused("tables", str(tmp_path))


GOLDEN = Path(__file__).parent / "golden"


def test_parity_prints_a_line_for_each_output(tmp_path: Path):
    assert "mastaf/local_scores" in succeeds("parity", GOLDEN / "mastaf_5way1shot.npz")
    text = succeeds("parity", GOLDEN / "trx_5way1shot.npz", "--json")
    assert all({"file", "output", "difference", "ok"} <= set(one) for one in json.loads(text))
    assert call("parity", tmp_path / "absent.npz")[0] == 2


def test_a_defect_is_said_in_one_line_and_is_no_verdict(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of \x1b[31mall")

    monkeypatch.delenv("FVBENCH_TRACEBACK")
    monkeypatch.setattr("bench.runs.directory.find_runs", broken)
    status, said = call("tables", "nowhere")
    assert status == 3
    assert said.startswith("error: a defect of this program, or of a plugin: ZeroDivisionError")
    assert "please report it" in said
    assert (said.count("\n"), "\x1b" in said) == (1, False)


def test_a_table_is_printed_in_an_encoding_without_its_signs(monkeypatch: pytest.MonkeyPatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="latin-1"))
    monkeypatch.setattr(sys, "argv", ["fvbench", "tables", str(RESULTS_FOLDER / "baselines")])
    with pytest.raises(SystemExit) as ended:
        main()
    sys.stdout.flush()
    assert ended.value.code == 0
    assert b"otam" in printed.getvalue()


def test_names_that_steer_a_terminal_are_spelled_out(tmp_path: Path):
    name = "evil\x1b[2J\u202e"
    said = refused("tables", tmp_path / name)
    assert "evil\\x1b[2J\\u202e" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("name", ["bench", "methods", "episodes"])
def test_a_package_of_the_users_does_not_hide_ours_silently(name: str, tmp_path: Path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    commands = [["-m", "bench"], ["-c", "from fvbench import main; main()"]]
    for command in commands[name == "bench" :]:  # who asks for another bench gets it
        ended = subprocess.run(
            [sys.executable, *command, "bank", "verify", "default"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 2
        assert f"{tmp_path / name} hides the package {name} of fewshot-video-bench" in ended.stderr
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["-m bench", "-c 'from fvbench import main; main()'"])
def test_a_folder_that_is_gone_is_told_in_a_line(command: str, tmp_path: Path):
    (tmp_path / "gone").mkdir()
    ended = subprocess.run(
        ["/bin/sh", "-c", f"rmdir ../gone && exec {sys.executable} {command} list"],
        cwd=tmp_path / "gone",
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "the current folder cannot be used" in ended.stderr


BASELINE = RESULTS_FOLDER / "baselines" / "default"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("list banks", 0),
        ("bank show default", 0),
        ("bank verify default", 0),
        ("bank verify {another}", 1),
        ("data verify rendered", 0),
        ("verify {no_zip}", 1),
        ("cache show", 0),
        ("doctor", 0),
        ("check-method protonet absent", 2),
        ("parity {golden}", 0),
        ("tables {baseline}", 0),
        ("tables paper", 0),
        ("compare {baseline}", 0),
        ("power {baseline}", 0),
        ("gate {baseline} {baseline}", 0),
        ("run --methods broken --plugin {broken} --episodes 2 --out {out} --no-report", 1),
    ],
)
def test_json_is_one_document(words: str, status: int, tmp_path: Path):
    (tmp_path / "another.toml").write_text(
        (FOLDER / "default.toml").read_text().replace("seed = 0", "seed = 1")
    )
    (tmp_path / "no.zip").write_text("")
    (tmp_path / "broken.py").write_text(
        "from bench.method import Method, register\nprint('good morning')\n\n"
        "@register\nclass Broken(Method):\n"
        "    name, source, differs, needs, order_aware = 'broken', '', '', 'vector', False\n"
    )
    places = {
        "another": tmp_path / "another.toml",
        "no_zip": tmp_path / "no.zip",
        "broken": tmp_path / "broken.py",
        "out": tmp_path / "out",
        "golden": GOLDEN / "trx_5way1shot.npz",
        "baseline": BASELINE,
    }
    with plugins_as_they_were():
        ended = CliRunner().invoke(app, [*words.format(**places).split(), "--json"])
    assert (ended.exit_code, ended.stdout.endswith(("}\n", "]\n"))) == (status, True), ended.output
    content = json.loads(ended.stdout)
    if "broken" in words:  # no method is left to compare
        assert "good morning" in ended.stderr
        assert [(one["bank"], one["method"]) for one in content["failed"]] == [
            ("default", "broken")
        ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tables {} --caption a --label b", "--caption, --label: for --format latex"),
        ("tables {} --columns p --format latex --json", "--columns: for --format latex"),
        ("compare {} --format latex", "--format latex is of --across; `fvbench tables` has it"),
        ("compare {} --across --mcnemar", "--mcnemar: for one bank, not for --across; leave it"),
        ("run --features {} --allow-missing", "--allow-missing: for videos"),
        ("run --data {} --bank default", "give one of the two"),
    ],
)
def test_options_of_another_form_of_a_command_are_refused(words: str, message: str):
    assert message in refused(*words.format(BASELINE).split())


def test_a_folder_of_results_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "results" / "weights").mkdir(parents=True)
    (tmp_path / "results" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "bank default: verified" in succeeds("doctor")
