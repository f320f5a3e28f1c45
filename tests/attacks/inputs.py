"""Inputs that nobody thought of, drawn by hypothesis: each ends in success or in one message."""

import contextlib
import os
import string
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.comparison.rows_file import read_rows_file
from bench.plugins.registry import built_in_methods
from bench.training.recipe import read_training_recipe, with_settings
from episodes.banks.bank import open_bank
from episodes.banks.recipe import read_recipe
from episodes.disk.lists import read_lists
from episodes.errors import UserError, shown
from tests.attacks.outcomes import Tally
from tests.command import call

LARGE = 100_000
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
PARTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["a/b", "a/b.avi 1", "v 3 1", "\n", "/", "//", "..", "{", "[", '"', ":", ";"]),
)
CELLS = st.one_of(st.integers(-2, 30), st.floats(), st.text(max_size=3), st.none())
SETTING = st.one_of(VALUES, st.text(max_size=6))


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    name: str
    drawn: st.SearchStrategy[Any]
    check: Callable[[Path, Any], None]
    """Does with it what a command does; raises where something else than a message comes."""
    share: float
    """Of all that are drawn."""


def _toml(values: dict[str, object], head: str = "") -> str:
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}"
        for key, value in values.items()
    ]
    return "\n".join([head, *lines])


def _bank_recipe(folder: Path, values: dict[str, object]) -> None:
    (folder / "mine.toml").write_text(_toml(values))
    with contextlib.suppress(UserError):
        read_recipe(str(folder / "mine.toml"))


def _training_recipe(folder: Path, values: dict[str, object]) -> None:
    (folder / "mine.toml").write_text(_toml(values, 'base = "default"\n[default]'))
    with contextlib.suppress(UserError):
        found = read_training_recipe(str(folder / "mine.toml"), METHOD)
        assert found.steps >= 1
        assert 0 < found.learning_rate < float("inf")


def _command(folder: Path, drawn: tuple[tuple[str, ...], list[str]]) -> None:
    words, more = drawn
    if words[0] == "run":  # with a folder that cannot be written: nothing is computed
        more = [*more[:1], "--out", "/dev/null/x"]
    if words[0] == "train":
        more = [*more, "--out", "/dev/null/x"]
    before = Path.cwd()
    os.chdir(folder)
    try:
        status, said = call(*words, *more)
    finally:
        os.chdir(before)
    assert status in {0, 1, 2}, said
    assert "Traceback" not in said
    assert said == shown(said)


def _name(_: Path, text: str) -> None:
    once = shown(text)
    assert shown(once) == once
    once.encode()


def _list(folder: Path, parts: list[str]) -> None:
    for suffix in (".txt", ".json"):
        path = folder / f"test{suffix}"
        path.write_text("".join(parts), encoding="utf-8", errors="surrogatepass")
        with contextlib.suppress(UserError):
            for one in read_lists(path):
                assert all(videos for videos in one.classes.values())


def _rows(folder: Path, table: list[tuple[object, ...]]) -> None:
    path = folder / "mine.csv"
    columns = ["episode", "query", "prediction", "method"]
    pd.DataFrame(table, columns=columns).to_csv(path, index=False)
    with contextlib.suppress(UserError):
        runs = read_rows_file(path, open_bank("default", 2))
        assert runs
        for run in runs:
            assert len(run.rows) == 10
            assert np.isin(run.rows["prediction"], range(5)).all()


def _settings(folder: Path, drawn: tuple[str, str, object]) -> None:
    name, key, value = drawn
    entry = built_in_methods()[name]
    head = f'base = "default"\n[method.{entry.cls.name}.settings]'
    path = folder / "mine.toml"
    path.write_text(_toml({key: value}, head), encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(UserError):
        with_settings(str(path), entry)


NAMES_OF_SETTINGS = sorted(
    {
        key
        for entry in built_in_methods().values()
        for key in entry.cls.Settings.__dataclass_fields__
    }
)
KINDS = (
    Kind("recipes of banks", st.dictionaries(st.sampled_from(BANK), VALUES), _bank_recipe, 0.25),
    Kind(
        "recipes of trainings",
        st.dictionaries(st.sampled_from(TRAINING), VALUES),
        _training_recipe,
        0.15,
    ),
    Kind("lists of videos", st.lists(PARTS, max_size=8), _list, 0.2),
    Kind(
        "settings of methods",
        st.tuples(
            st.sampled_from(sorted(built_in_methods())), st.sampled_from(NAMES_OF_SETTINGS), SETTING
        ),
        _settings,
        0.2,
    ),
    Kind("rows made elsewhere", st.lists(st.tuples(*[CELLS] * 4), max_size=11), _rows, 0.03),
    Kind("names that are shown", st.text(st.characters()), _name, 0.14),
    Kind(
        "command lines",
        st.tuples(st.sampled_from(COMMANDS), st.lists(WORDS, max_size=4)),
        _command,
        0.03,
    ),
)


def attack(kind: Kind, number: int) -> Tally:
    """Draw so many inputs of a kind."""
    tally = Tally(kind.name)

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.drawn)
    def draw(one: Any) -> None:
        try:
            kind.check(Path(folder), one)
        except Exception as error:
            tally.add("traceback", f"{one!r}: {type(error).__name__}: {error}"[:600])
        else:
            tally.add("harmless")

    with tempfile.TemporaryDirectory() as folder:
        draw()
    return tally


def main(number: int) -> Iterator[Tally]:
    """Draw the inputs of every kind."""
    for kind in KINDS:
        yield attack(kind, round(kind.share * number))
