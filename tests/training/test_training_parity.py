"""Training steps of authors' own code, retraced by the learner and the optimiser used here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.optim import Optimizer

from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.reference import Golden
from bench.training import authors_steps
from bench.training.learner import Learner, optimiser_of
from bench.training.parity import check_training
from bench.training.recipe import read_training_recipe
from episodes.errors import UserError
from methods.parity.training import AUTHORS_TRAINING
from tests.command import call

FOLDER = Path(__file__).parents[1] / "golden-training"
QUICK = (
    *("can_5w1s", "hyrsm_5w5s", "hyrsm-supports_5w5s", "mastaf_5w5s", "mastaf-nores_5w1s"),
    *("mastaf-no-global_5w1s", "mastaf-noml-mean_5w5s", "molo_5w5s", "otam_5w1s", "pal_5w5s"),
    *("strm_5w5s", "strm-opened_5w1s", "team_5w5s", "trx_5w1s"),
    "ta2n_5w5s",
    "clip-fsar-merge-after_training_5w5s",
)


@pytest.mark.parametrize("stem", QUICK)
def test_the_authors_steps_are_retraced(stem: str):
    missed = [one for one in check_training(FOLDER / f"{stem}.npz") if not one.ok]
    assert missed == []


def with_setting(name: str, setting: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change a setting that a method's authors trained it with."""
    authors = AUTHORS_TRAINING[name]
    changed = replace(authors, settings=lambda golden: authors.settings(golden) | {setting: value})
    monkeypatch.setitem(AUTHORS_TRAINING, name, changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("stem", ["mastaf_5w1s", "mastaf_5w5s"])
def test_mastaf_trains_as_its_authors_do_by_default(stem: str, monkeypatch: pytest.MonkeyPatch):
    with_setting("mastaf", "batch_norm", "default", monkeypatch)
    assert not missed(stem)


def test_the_command_prints_a_line_for_each_check(tmp_path: Path):
    status, text = call("parity", "--training", FOLDER / "otam_5w5s.npz", "--json")
    checks = [one["check"] for one in json.loads(text)]
    assert (status, checks) == (0, ["losses", "gradients", "trajectory", "float32 inputs"])
    arrays = dict(np.load(FOLDER / "otam_5w5s.npz"))
    arrays["loss/episode"] = arrays["loss/episode"] * 1.001
    np.savez(tmp_path / "otam_other.npz", **arrays)
    status, text = call("parity", "--training", tmp_path / "otam_other.npz")
    assert status == 1
    assert "NOT EQUAL: loss/episode" in text


def test_a_file_that_says_no_method_is_refused(tmp_path: Path):
    (tmp_path / "other.npz").write_bytes((FOLDER / "otam_5w1s.npz").read_bytes())
    with pytest.raises(UserError, match="its name says no method"):
        check_training(tmp_path / "other.npz")


def test_a_file_of_another_kind_is_refused():
    with pytest.raises(UserError, match=r"holds no query_labels, loss/total, lr, optimizer"):
        check_training(FOLDER.parent / "golden" / "trx_5way1shot.npz")


def test_a_file_that_lacks_something_is_one_message(tmp_path: Path):
    arrays = dict(np.load(FOLDER / "trx_5w1s.npz"))
    del arrays["width"]
    np.savez(tmp_path / "trx.npz", **arrays)
    with pytest.raises(UserError, match=r"cannot be retraced.*width"):
        check_training(tmp_path / "trx.npz")


def missed(stem: str) -> set[str]:
    """Checks that a file does not pass."""
    return {one.check for one in check_training(FOLDER / f"{stem}.npz") if not one.ok}


class TestMistakes:
    """Each of these was, or could have been, made; none passes."""

    @pytest.mark.parametrize(
        ("stem", "changed"),
        [
            ("hyrsm_5w5s", {"without_weight_decay": ()}),
            ("team_5w5s", {"nesterov": False}),
            ("team_5w5s", {"weight_decay": 0.0}),
        ],
    )
    def test_another_optimiser(
        self, stem: str, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
    ):
        made = authors_steps.recipe_of
        monkeypatch.setattr(
            authors_steps, "recipe_of", lambda *words: made(*words).changed(**changed)
        )
        assert missed(stem) == {"trajectory"}

    @pytest.mark.parametrize(("stem", "sums"), [("trx_5w1s", False), ("otam_5w1s", True)])
    def test_a_mean_for_a_sum_and_a_sum_for_a_mean(
        self, stem: str, sums: bool, monkeypatch: pytest.MonkeyPatch
    ):
        name = stem.split("_", maxsplit=1)[0]
        wrong = replace(AUTHORS_TRAINING[name], sums_over_queries=sums)
        monkeypatch.setitem(AUTHORS_TRAINING, name, wrong)  # type: ignore[arg-type]
        assert missed(stem) >= {"losses", "gradients", "trajectory"}


@pytest.mark.parametrize("stem", ["hyrsm_5w5s", "molo_5w1s"])
def test_the_authors_recipe_spares_what_the_authors_spare(stem: str):
    golden = Golden(dict(np.load(FOLDER / f"{stem}.npz")))
    entry = built_in_methods()[stem.split("_", maxsplit=1)[0]]
    recipe = read_training_recipe("paper", entry)
    method = entry.build(FeatureShape(16, 4, 7, 7), 0)
    names = authors_steps.authors_names_of(method)
    spared, decayed = (
        {id(parameter) for group in groups for parameter in group["params"]}
        for groups in by_decay(optimiser_of(Learner(method, None, 0, recipe), recipe))
    )
    authors = {names[name] for name in golden.arrays["without_weight_decay"].tolist()}
    assert {name for name, one in method.named_parameters() if id(one) in spared} == authors
    assert len(decayed) == len(list(method.parameters())) - len(authors)
    assert recipe.weight_decay == golden.number("weight_decay")


def by_decay(optimiser: Optimizer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    groups = optimiser.param_groups
    spared = [group for group in groups if group["weight_decay"] == 0]
    return spared, [group for group in groups if group["weight_decay"] > 0]


@pytest.mark.parametrize("name", sorted(AUTHORS_TRAINING))
def test_the_authors_recipe_sums_where_the_authors_sum(name: str):
    recipe = read_training_recipe("paper", built_in_methods()[name])
    assert recipe.sum_over_queries is AUTHORS_TRAINING[name].sums_over_queries
