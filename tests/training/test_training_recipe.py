"""Recipes of training: read, checked, and refused with a reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.plugins.registry import built_in_methods
from bench.training.recipe import read_training_recipe, recipe_names, with_settings
from episodes.errors import UserError
from tests.command import refused

METHODS = built_in_methods()


def test_the_default_recipes_hold_for_every_method():
    for name in set(recipe_names()) - {"paper"}:
        for entry in METHODS.values():
            assert read_training_recipe(name, entry).episodes == 4000


def test_a_recipe_states_what_differs_from_another():
    frozen, live = (read_training_recipe(n, METHODS["otam"]) for n in ("default", "default-live"))
    assert live == frozen.changed(name="default-live", batch_norm="live")


def test_the_authors_recipe_is_that_of_the_method_and_its_variants():
    mastaf = read_training_recipe("paper", METHODS["mastaf"])
    assert (mastaf.optimiser, mastaf.episodes, mastaf.protocol) == ("sgd", 128_000, "one-class")
    assert read_training_recipe("paper", METHODS["mastaf-nores"]) == mastaf
    assert read_training_recipe("paper", METHODS["trx"]).queries == 5


def test_a_method_whose_authors_state_nothing_is_refused():
    with pytest.raises(UserError, match=r"says nothing about chance, only about can, "):
        read_training_recipe("paper", METHODS["chance"])


def test_episodes_are_rounded_up_to_whole_steps():
    assert read_training_recipe("default", METHODS["otam"], episodes=17).episodes == 24


def test_a_classifier_baseline_learns_no_episodes():
    recipe = read_training_recipe("default", METHODS["baseline"])
    assert (recipe.episode_weight, recipe.global_weight) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('optimiser = "lamb"', "optimiser is 'lamb'; it should be 'adam', 'adamw' or 'sgd'"),
        ("learning_rate = 0.0", "learning_rate is 0.0; it should be greater than 0"),
        ("learning_rate = inf", "learning_rate is inf; it should be a finite number"),
        ("flip = 1", "flip is 1; it should be a valid boolean"),
        ("episodes_at_once = 3", "is 3; it should divide episodes_per_step, which is 8"),
        ("rate_from_step = [[2, 0.1], [2, 0.5]]", "its steps should ascend, as in [[2250, 0.1], "),
        ("rate_from_step = [[2, -0.1]]", "its steps and factors should be greater than or equal"),
        ('optimiser = "sgd"\nnesterov = true', "nesterov is True; it should be false, or momentum"),
        ("warm_up_from = -0.1", "warm_up_from is -0.1; it should be greater than or equal to 0"),
        ("stepz = 3", "there is no key stepz; did you mean steps?"),
        ('name = "other"', "there is no key name; a recipe has the name of its file"),
        ("steps =", "is not a training recipe"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(tmp_path: Path, line: str, message: str):
    path = tmp_path / "mine.toml"
    path.write_text(f'base = "default"\n[default]\n{line}\n')
    with pytest.raises(UserError) as caught:
        read_training_recipe(str(path), METHODS["mastaf"])
    assert message in str(caught.value)
    assert "mine" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["default", ".mine", "mi\nne", "mi\\ne", "m" * 201])
def test_a_recipe_whose_name_runs_cannot_state_is_refused(tmp_path: Path, name: str):
    path = tmp_path / f"{name}.toml"
    path.write_text('base = "default"\n[default]\nsteps = 3\n')
    with pytest.raises(UserError, match="rename the file"):
        read_training_recipe(str(path), METHODS["mastaf"])


def test_a_recipe_without_a_base_names_what_it_lacks(tmp_path: Path):
    (tmp_path / "mine.toml").write_text("[default]\nsteps = 3\n")
    with pytest.raises(UserError, match=r"optimiser, .*backbone_learning_rate.* are missing"):
        read_training_recipe(str(tmp_path / "mine.toml"), METHODS["mastaf"])


def test_an_unknown_recipe_lists_those_there_are():
    expected = ["default", "default-bfloat16", "default-equal-scale", "default-live", "paper"]
    assert recipe_names() == expected
    with pytest.raises(UserError, match="default"):
        read_training_recipe("defualt", METHODS["mastaf"])


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    recipe = read_training_recipe("default", METHODS["mastaf"]).changed(warm_up_steps=4, steps=104)
    factors = [recipe.learning_rate_at(step) for step in range(104)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[54] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.001
    constant = recipe.changed(schedule="constant")
    assert constant.learning_rate_at(103) == 1.0


def test_the_learning_rate_falls_at_the_steps_that_a_recipe_names():
    recipe = read_training_recipe("paper", METHODS["hyrsm"])
    steps = (0, 374, 749, 750, 2249, 2250, 3749, 3750, 9999)
    factors = [recipe.learning_rate_at(step) for step in steps]
    # The authors' rate at the last of a step's four iterations, 2e-5 + 8e-5 * iteration / 3000.
    warm_up = [0.2 + 0.8 * iteration / 3000 for iteration in (3, 1499, 2999)]
    assert factors[:3] == pytest.approx(warm_up, abs=1e-3)
    assert factors[3:] == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]


def test_the_authors_rates_are_those_of_their_code():
    recipes = {
        name: read_training_recipe("paper", METHODS[name])
        for name in ("mastaf", "trx", "strm", "ta2n", "otam", "pal", "team", "can")
    }
    assert {name: one.learning_rate for name, one in recipes.items()} == {
        **dict.fromkeys(("trx", "strm", "ta2n", "otam", "team"), 0.001),
        "mastaf": 0.01,
        "pal": 0.0001,
        "can": 0.1,
    }
    assert with_settings("paper", METHODS["mastaf-self"]).settings.batch_norm == "reference"
    can = recipes["can"]  # 300 steps an epoch
    rates = [can.learning_rate * can.learning_rate_at(300 * epoch) for epoch in (59, 60, 70, 80)]
    assert rates == pytest.approx([0.1, 0.006, 0.0012, 0.00024])


def test_a_recipe_may_change_settings_of_a_method_and_of_no_other(tmp_path: Path):
    lone, full = METHODS["mastaf-self"], METHODS["mastaf"]
    changed = with_settings("default-equal-scale", lone)
    assert changed == replace(lone, settings=replace(lone.settings, scale=14.0))
    assert with_settings("default-equal-scale", full) == full
    assert with_settings("default", lone) == lone
    of_both = read_training_recipe("default-equal-scale", lone)
    assert of_both == read_training_recipe("default", lone).changed(name="default-equal-scale")
    path = tmp_path / "mine.toml"
    path.write_text('base = "default"\n[method.mastaf.settings]\nhidden = 4\n')
    narrow = with_settings(str(path), METHODS["mastaf-nores"]).settings
    assert (narrow.hidden, narrow.residual) == (4, False)
    path.write_text('base = "default"\n[method.mastaf.settings]\nscale = "14"\n')
    with pytest.raises(UserError, match="setting scale of mastaf is '14'; it is a number"):
        with_settings(str(path), full)


def test_what_would_have_no_effect_is_told(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "default"\n[method.otamm]\nsteps = 3\n')
    words = ("train", "mastaf", "--global-weight", "2", "--out", tmp_path / "out")
    said = refused(*words, "--recipe", path)
    assert "[method.otamm] is not used: no method is called 'otamm'; did you mean otam" in said
    assert "--global-weight 2 has no effect on mastaf" in refused(*words)


def test_a_base_is_looked_for_beside_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "other.toml").write_text('base = "default"\n[default]\nshift = 2\n')
    (tmp_path / "mine" / "small.toml").write_text('base = "other.toml"\n[default]\nsteps = 3\n')
    monkeypatch.chdir(tmp_path)
    recipe = read_training_recipe("mine/small.toml", METHODS["mastaf"])
    assert (recipe.shift, recipe.steps) == (2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('base = "mine.toml"', r"is based on itself \(mine.toml on mine.toml\)"),
        ('base = "back.toml"', r"is based on itself \(mine.toml on back.toml on mine.toml\)"),
        ('base = "gone.toml"', r"gone\.toml"),
        ("base = 5", r'base is 5; it should be a valid string; it may have base = "NAME" and tab'),
        ("default = 3", "default is 3; it should be an object"),
        ("[method.mastaf]\nsettings = 3", "method.mastaf.settings is 3; it should be an object"),
        ("steps = 3", "there is no key steps; there are base, default, method"),
        ("[methods.mastaf]\nsteps = 3", r"there is no key methods; did you mean method\?"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_message(content: str, message: str, tmp_path: Path):
    (tmp_path / "mine.toml").write_text(f"{content}\n")
    (tmp_path / "back.toml").write_text('base = "mine.toml"\n')
    for read in (read_training_recipe, with_settings):
        with pytest.raises(UserError, match=message):
            read(str(tmp_path / "mine.toml"), METHODS["mastaf"])
