"""The small form of the attacks on all that is read: `tests.attacks` is the large one."""

import contextlib
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.plugins.registry import built_in_methods
from bench.training.recipe import read_training_recipe
from episodes.banks.recipe import read_recipe
from episodes.errors import UserError, shown
from tests.attacks import TARGETS, Target, attack
from tests.command import call

SMALL = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LARGE = settings(SMALL, max_examples=5000)
METHOD = built_in_methods()["mastaf"]
VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from(["'x'", '"one-class"', "[]", "{}", "[[1, 2]]", "inf", "nan", "10000000000000"]),
)
BANK = ("dataset", "split", "protocol", "way", "shot", "queries", "episodes", "seed", "sampler")
TRAINING = ("steps", "learning_rate", "warm_up_steps", "optimiser", "precision", "shift", "flip")
COMMANDS = (
    ("list", "methods"),
    ("list", "banks"),
    ("bank", "show", "default"),
    ("bank", "verify"),
    ("tables",),
    ("compare",),
    ("gate",),
    ("power",),
    ("figures",),
    ("report",),
    ("cases",),
    ("run", "--episodes"),
    ("run", "--seed"),
    ("run", "--methods"),
    ("run", "--bank"),
    ("run", "--weights"),
    ("train",),
    ("check-method",),
    ("parity",),
    ("data", "verify"),
)
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\x00"), max_size=8),
    st.text(string.printable, max_size=8),
    st.sampled_from(["--json", "--format", "--episodes", "-1", "10000000000000", "--out", "="]),
    st.integers().map(str),
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damage_is_named_and_never_believed(target: Target):
    outcomes, faults = attack(target, 12, seed=1)
    assert outcomes.total() == 12
    assert not faults


def recipe(values: dict[str, object], head: str = "") -> str:
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}"
        for key, value in values.items()
    ]
    return "\n".join([head, *lines])


def check_bank_recipe(folder, values: dict[str, object]) -> None:
    (folder / "mine.toml").write_text(recipe(values))
    with contextlib.suppress(UserError):
        read_recipe(str(folder / "mine.toml"))


def check_training_recipe(folder, values: dict[str, object]) -> None:
    (folder / "mine.toml").write_text(recipe(values, 'base = "default"\n[default]'))
    with contextlib.suppress(UserError):
        found = read_training_recipe(str(folder / "mine.toml"), METHOD)
        assert found.steps >= 1
        assert 0 < found.learning_rate < float("inf")


def check_command(words: tuple[str, ...], more: list[str]) -> None:
    if words[0] == "run":  # with a folder that cannot be written: nothing is computed
        more = [*more[:1], "--out", "/dev/null/x"]
    if words[0] == "train":
        more = [*more, "--out", "/dev/null/x"]
    status, said = call(*words, *more)
    assert status in {0, 1, 2}, said
    assert "Traceback" not in said
    assert said == shown(said)


def check_name(text: str) -> None:
    once = shown(text)
    assert shown(once) == once
    once.encode()


@SMALL
@given(values=st.dictionaries(st.sampled_from(BANK), VALUES))
def test_recipes_of_banks(tmp_path_factory, values: dict[str, object]):
    check_bank_recipe(tmp_path_factory.mktemp("recipe"), values)


@SMALL
@given(values=st.dictionaries(st.sampled_from(TRAINING), VALUES))
def test_recipes_of_trainings(tmp_path_factory, values: dict[str, object]):
    check_training_recipe(tmp_path_factory.mktemp("recipe"), values)


@SMALL
@given(words=st.sampled_from(COMMANDS), more=st.lists(WORDS, max_size=4))
def test_command_lines(words: tuple[str, ...], more: list[str], tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_command(words, more)


@SMALL
@given(text=st.text(st.characters()))
def test_whatever_is_shown_can_be_printed(text: str):
    check_name(text)


@pytest.mark.slow
@LARGE
@given(values=st.dictionaries(st.sampled_from(BANK), VALUES))
def test_many_recipes_of_banks(tmp_path_factory, values: dict[str, object]):
    check_bank_recipe(tmp_path_factory.getbasetemp(), values)


@pytest.mark.slow
@LARGE
@given(values=st.dictionaries(st.sampled_from(TRAINING), VALUES))
def test_many_recipes_of_trainings(tmp_path_factory, values: dict[str, object]):
    check_training_recipe(tmp_path_factory.getbasetemp(), values)


@pytest.mark.slow
@settings(LARGE, max_examples=600)
@given(words=st.sampled_from(COMMANDS), more=st.lists(WORDS, max_size=4))
def test_many_command_lines(words: tuple[str, ...], more: list[str], tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_command(words, more)
