"""Settings behind a method's name, options in a file, and what wins where several say something."""

import tomllib
from pathlib import Path

import pytest
import typer

from bench.__main__ import app
from bench.commands.config import NOT_OPTIONS, save_options
from bench.method import find
from bench.plugins.registry import DEFAULT_TABLE, all_methods, choose
from bench.runs.directory import read_run
from episodes.cache import ENVIRONMENT_VARIABLE, cache_folder
from episodes.disk import registration
from episodes.disk.registration import config_folder
from episodes.errors import UserError
from tests.command import refused, succeeds

RUN = ("run", "--device", "cpu", "--episodes", "4")


@pytest.mark.parametrize(
    ("words", "name", "setting", "value"),
    [
        ("otam[temperature=0.05]", "otam[temperature=0.05]", "temperature", 0.05),
        ("otam[temperature=1]", "otam[temperature=1.0]", "temperature", 1.0),
        ("otam[ directions = one ]", "otam[directions=one]", "directions", "one"),
        ("otam[directions=mean of both]",) * 2 + ("directions", "mean of both"),
        ("mastaf[residual=false]", "mastaf[residual=False]", "residual", False),
        ("mastaf-self[hidden=8]", "mastaf-self[hidden=8]", "hidden", 8),
        ("trx[cardinalities=1+4]", "trx[cardinalities=1+4]", "cardinalities", (1, 4)),
        ("trx[width=64]", "trx[width=64]", "width", 64),
        ("trx[width=none]", "trx", "width", None),
    ],
)
def test_settings_are_read_as_the_class_declares_them(
    words: str, name: str, setting: str, value: object
):
    entry = find(words, all_methods())
    assert entry.name == name
    assert getattr(entry.settings, setting) == value
    assert type(getattr(entry.settings, setting)) is type(value)
    assert find(entry.name, all_methods()) == entry or entry.name == entry.registered


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("otam[temprature=0.05]", "otam has no setting temprature; did you mean temperature?"),
        ("otam[temperature=nan]", "setting temperature of otam is nan; it is a number"),
        ("otam[temperature=warm]", "setting temperature of otam is 'warm'; it is a number"),
        ("otam[directions=up]", "is 'up'; it is one of both, mean of both, one, reversed"),
        ("mastaf[hidden=1.5]", "setting hidden of mastaf is '1.5'; it is of type int"),
        ("trx[cardinalities=a]", "setting cardinalities of trx is"),
        ("otma[temperature=1]", "no method is called 'otma'; did you mean otam"),
        ("otam[temperature]", "write NAME[SETTING=VALUE,...]"),
        ("otam[temperature=1,temperature=2]", "gives temperature twice"),
        ("otam[temperature=1", "write NAME[SETTING=VALUE,...]"),
    ],
)
def test_a_setting_that_does_not_do_is_told_in_one_line(words: str, said: str):
    with pytest.raises(UserError) as error:
        find(words, all_methods())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("without_charts")
def test_several_settings_of_one_method_are_several_runs(tmp_path: Path):
    names = "otam,otam[temperature=0.05],otam[temperature=5,directions=one]"
    succeeds(*RUN, "--methods", names, "--reference", "otam", "--out", tmp_path)
    found = {path.parent.name for path in tmp_path.glob("*/run.json")}
    assert found == {"otam", "otam[temperature=0.05]", "otam[temperature=5.0,directions=one]"}
    identity = read_run(tmp_path / "otam[temperature=0.05]").identity
    assert identity.settings["temperature"] == 0.05
    assert "otam[temperature=0.05]" in succeeds("tables", tmp_path)
    assert "otam[temperature=0.05]" in succeeds("tables", tmp_path, "--format", "latex")
    succeeds("compare", tmp_path, "--reference", "otam[temperature=0.05]")
    succeeds("report", tmp_path, "--out", tmp_path / "r.html")
    assert "otam[temperature=0.05]" in (tmp_path / "r.html").read_text()
    assert "otam[temperature=0.05]: ok" in succeeds("check-method", "otam[temperature=0.05]")


def test_brackets_win_over_a_recipe_of_training(tmp_path: Path):
    from bench.training.recipe import with_settings

    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'base = "default"\n[method.otam.settings]\ntemperature = 7\npadding = "paper"\n'
    )
    for words, expected in (("otam", 7.0), ("otam[temperature=3]", 3.0)):
        entry = with_settings(str(recipe), find(words, all_methods()))
        assert (entry.settings.temperature, entry.settings.padding) == (expected, "paper")
        assert type(entry.settings.temperature) is float


def test_without_a_list_the_default_table_and_plugins():
    known = all_methods()
    ours = {name for name, one in known.items() if one.cls.__module__.startswith("methods.")}
    chosen = {entry.name for entry in choose(None, known, default=DEFAULT_TABLE)}
    assert (chosen & ours, chosen - ours) == (DEFAULT_TABLE, known.keys() - ours)
    for words in ("all", " all"):
        assert len(choose(words, known, default=DEFAULT_TABLE)) == len(known) > len(DEFAULT_TABLE)


class TestConfig:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        file = tmp_path / "run.toml"
        file.write_text(
            'methods = "chance,otam[temperature=0.5]"\nepisodes = 5\nbatch-size = 2\n'
            f'out = "{tmp_path / "of-the-file"}"\nplain = true\n'
        )
        return file

    def test_a_file_holds_options_and_the_command_line_wins(self, config: Path, tmp_path: Path):
        out = tmp_path / "typed"
        succeeds("run", "--config", config, "--episodes", "4", "--out", out)
        run = read_run(out / "otam[temperature=0.5]")
        assert run.identity.episodes == 4
        assert run.identity.form == "plain"
        assert not (tmp_path / "of-the-file").exists()

    def test_what_is_saved_gives_the_same_run(self, config: Path, tmp_path: Path):
        saved, out = tmp_path / "saved.toml", tmp_path / "out"
        words = ("run", "--config", config, "--seed", "3", "--save-config", saved, "--out", out)
        succeeds(*words)
        content = tomllib.loads(saved.read_text())
        assert (content["seed"], content["episodes"], content["plain"]) == (3, 5, True)
        assert "device" not in content
        before = read_run(out / "chance")
        succeeds("run", "--config", saved, "--out", tmp_path / "again")
        after = read_run(tmp_path / "again" / "chance")
        assert before.identity == after.identity
        assert before.rows.equals(after.rows)

    def test_every_option_comes_back_as_it_was_given(self, tmp_path: Path):
        command = typer.main.get_command(app).commands["run"]
        values = {"episodes": 7, "seed": 3, "batch_size": 5, "time_limit": 1.5}
        words: list[str] = []
        for option in command.params:
            if option.name in NOT_OPTIONS:
                continue
            if option.is_flag:
                words.append((option.secondary_opts or option.opts)[-1])
            else:
                given = values.get(option.name, f'a "{option.name}" ü')
                words += [option.opts[0], str(given)] * (2 if option.multiple else 1)
        context = command.make_context("run", [*words, "--dry-run"])
        save_options(context, tmp_path / "all.toml")
        read = command.make_context("run", ["--config", str(tmp_path / "all.toml")])
        held = context.params.keys() - set(NOT_OPTIONS)
        assert {name: read.params[name] for name in held} == {
            name: context.params[name] for name in held
        }
        assert len(held) > 20
        assert read.params["dry_run"] is False

    def test_paths_may_begin_in_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "a.py").write_text("")
        (tmp_path / "run.toml").write_text(
            'methods = "nothing"\nplugin = ["~/a.py"]\nout = "~/out"'
        )
        words = ("--config=~/run.toml", "--save-config=~/saved.toml", "--weights=~/w")
        refused("run", *words)
        assert f"{tmp_path}/b.toml" in refused("run", "--bank=default,~/b.toml", "--episodes=4")
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, "~/cache")
        assert cache_folder() == tmp_path / "cache"
        monkeypatch.setenv(registration.ENVIRONMENT_VARIABLE, "~/config")
        assert config_folder() == tmp_path / "config"
        assert tomllib.loads((tmp_path / "saved.toml").read_text()) == {
            "methods": "nothing",
            "plugin": [f"{tmp_path}/a.py"],
            "out": f"{tmp_path}/out",
            "weights": f"{tmp_path}/w",
            "report": False,
        }

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('method = "otam"', "`fvbench run` has no option method; did you mean methods?"),
            ("zzz = 1", "has no option zzz; see --help"),
            ("[methods]\nx = 1", "methods is a table"),
            ("methods = ", "cannot be read"),
            ("episodes = true", "episodes is true; it takes a value"),
            ("time-limit = true", "time-limit is true; it takes a value"),
        ],
    )
    def test_a_file_that_does_not_do(self, text: str, words: str, tmp_path: Path):
        file = tmp_path / "run.toml"
        file.write_text(text)
        said = refused("run", "--config", file)
        assert words in said
        assert said.count("\n") == 1
