"""Recipes are read, written and refused as text files."""

from dataclasses import replace
from pathlib import Path

import pytest

from episodes.banks.recipe import FOLDER, Recipe, read_recipe, recipe_names
from episodes.errors import UserError

PLAIN = Recipe("plain", "rendered", "test", "standard", 5, 1, 2, 100, 7, 1, "aa", "bb")


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_text_of_a_recipe_reads_back_as_the_same_recipe(tmp_path: Path):
    assert read_recipe(written(tmp_path, PLAIN.text())) == replace(PLAIN, name="mine")


@pytest.mark.parametrize("name", recipe_names())
def test_committed_file_is_the_text_of_its_recipe(name: str):
    assert read_recipe(name).text() == (FOLDER / f"{name}.toml").read_text()


def test_defaults_are_committed():
    assert {"default", "default-order"} <= set(recipe_names())


def test_one_class_protocol_queries_one_class_only():
    assert PLAIN.queries_per_episode == 10
    assert replace(PLAIN, protocol="one-class").queries_per_episode == 2


def test_near_miss_names_the_nearest():
    with pytest.raises(UserError, match=r"no bank is called 'defalt'; did you mean default"):
        read_recipe("defalt")


def test_name_unlike_any_says_how_to_list_them():
    with pytest.raises(UserError, match=r"no bank is called 'zzz'; `fvbench list banks`"):
        read_recipe("zzz")


def test_path_of_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"no bank is called '.*absent\.toml'"):
        read_recipe(str(tmp_path / "absent.toml"))


@pytest.mark.parametrize("field", ["way", "shot", "queries", "episodes"])
def test_count_below_one_is_refused(field: str):
    with pytest.raises(UserError, match=rf"recipe plain: {field} is 0; it is at least 1"):
        replace(PLAIN, **{field: 0})


@pytest.mark.parametrize("value", ["5", 5.0, True])
@pytest.mark.parametrize("field", ["way", "shot", "queries", "episodes", "seed", "sampler"])
def test_count_that_is_no_whole_number_is_refused(field: str, value: object):
    with pytest.raises(UserError, match=rf"recipe plain: {field} is {value!r}; .*whole number"):
        replace(PLAIN, **{field: value})


def test_unknown_protocol_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"'fair'.*standard, one-class, group-disjoint, partners"):
        replace(PLAIN, protocol="fair")


def test_unknown_split_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"'tests'.*train.*val.*test"):
        replace(PLAIN, split="tests")


def test_partner_pair_in_one_way_is_refused():
    with pytest.raises(UserError, match=r"way is 1; a partner pair needs 2"):
        replace(PLAIN, protocol="partners", way=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("way = = 5", "is not a bank recipe: "),
        (PLAIN.text().replace("seed = 7\n", "").replace("way", "ways"), "lacks way, seed; a bank"),
        (PLAIN.text() + "weather = 1\n", "has an unknown field weather; a bank"),
    ],
    ids=["not toml", "fields missing", "field unknown"],
)
def test_file_that_is_no_recipe_is_refused_by_name(tmp_path: Path, text: str, reason: str):
    with pytest.raises(UserError, match=rf"mine\.toml {reason}"):
        read_recipe(written(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"mine\.toml is not a bank recipe"):
        read_recipe(str(path))
