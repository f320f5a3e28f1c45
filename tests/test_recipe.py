"""Recipes are read, written and refused as text files."""

import re
from pathlib import Path

import pytest

from episodes.banks.recipe import FOLDER, read_recipe, recipe_names
from episodes.errors import UserError
from tests.synthetic import recipe_with

PLAIN = recipe_with(queries=2, seed=7, split_sha256="aa", episodes_sha256="bb")


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_text_of_a_recipe_reads_back_as_the_same_recipe(tmp_path: Path):
    assert read_recipe(written(tmp_path, PLAIN.text())) == PLAIN.changed(name="mine")


@pytest.mark.parametrize("name", recipe_names())
def test_committed_file_is_the_text_of_its_recipe(name: str):
    assert read_recipe(name).text() == (FOLDER / f"{name}.toml").read_text()


def edited(*changes: tuple[str, str]) -> str:
    """The text of a recipe in which the value of some keys is another."""
    text = PLAIN.text()
    for key, value in changes:
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("way = = 5", "Invalid value"),
        (edited().replace("way =", "ways ="), "there is no key ways; did you mean way"),
        (edited().replace("seed = 7\n", "").replace("way = 5\n", ""), "way, seed are missing"),
        (edited() + "weather = 1\n", "there is no key weather; there are "),
        (edited() + 'name = "other"\n', "there is no key name; a bank is called"),
        *(
            (edited((key, "0")), f"{key} is 0; it should be greater than or equal to 1")
            for key in ("way", "shot", "queries", "episodes")
        ),
        *(
            (edited((key, value)), f"{key} is .*{value}.*; it should be a valid integer")
            for key in ("way", "shot", "queries", "episodes", "seed", "sampler")
            for value in ("'5'", "5.5", "inf", "nan")
        ),
        (edited(("way", "true")), "way is True; it should be a valid integer"),
        (edited(("dataset", "5")), "dataset is 5; it should be a valid string"),
        (edited(("protocol", '"fair"')), "'fair'; it should be 'standard', .* or 'partners'"),
        (edited(("split", '"tests"')), "'tests'; it should be 'train', 'val' or 'test'"),
        (edited(("protocol", '"partners"'), ("way", "1")), "way is 1; a partner pair needs 2"),
        (edited(("episodes", "1000000000000")), "at most 100,000,000: ask for fewer --episodes"),
    ],
)
def test_file_that_is_no_recipe_is_one_line_with_its_name(tmp_path: Path, text: str, reason: str):
    with pytest.raises(UserError, match=rf"mine\.toml is not a bank recipe: .*{reason}") as caught:
        read_recipe(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"mine\.toml is not a bank recipe"):
        read_recipe(str(path))
